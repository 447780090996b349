"""The command line: one verb for each chapter, each a call of one function.

Only this chapter prints, parses, or chooses an exit status: 0 done, 1 something the
user can fix (one line), 2 wrong usage.
"""

from dmagnet.cli.door import VERBS, main

__all__ = ["VERBS", "main"]
