"""Any number of inputs to a table, in one process or on many machines."""

from typing import TYPE_CHECKING

from dmagnet import _lazily
from dmagnet.calibration.judgement import Classifier as Classifier
from dmagnet.classifying.catalog_run import Outcome as Outcome
from dmagnet.classifying.catalog_run import classify as classify
from dmagnet.classifying.catalog_run import write_catalog as write_catalog
from dmagnet.classifying.embeddings import nearest as nearest
from dmagnet.classifying.local import open_classifier as open_classifier
from dmagnet.classifying.table import write_table as write_table
from dmagnet.classifying.table_columns import About as About
from dmagnet.classifying.table_columns import to_qtable as to_qtable

if TYPE_CHECKING:
    from dmagnet.classifying.answer_table import Answers as Answers

__getattr__ = _lazily(__name__)  # astropy, when it is wanted
