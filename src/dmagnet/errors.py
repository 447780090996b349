"""The errors that are the user's to fix: each is one clear line.

A message says what was expected, what came, and what to do. A programmer's
mistake is not one of these: it stays an ``assert`` or a traceback.
"""


class DmagnetError(Exception):
    """An error that the user can fix; the command line prints it and exits 1."""


class ConfigError(DmagnetError, ValueError):
    """A setting outside what the code can do: an unknown size, layer, recipe."""


class DataError(DmagnetError, ValueError):
    """A file that is missing, damaged, or not of the expected form."""


class CheckpointError(DmagnetError, ValueError):
    """Weights or a run folder that do not fit this program or this request."""
