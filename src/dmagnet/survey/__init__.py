"""The run: from whatever was given to a table, in one process or on many machines."""

from dmagnet.survey.local import classify_chunk, classify_chunks
from dmagnet.survey.run import Outcome, classify, write_catalog

__all__ = ["Outcome", "classify", "classify_chunk", "classify_chunks", "write_catalog"]
