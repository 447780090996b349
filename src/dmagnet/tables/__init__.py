"""Tables of any form, read in one way by `classify`, `train` and `audit`.

The chapters, in order: `blocks` (a table as blocks of columns), `rows` (which column is
what, and what a row points at).
"""
