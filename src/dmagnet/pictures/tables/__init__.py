"""Tables of any form, read in one way by `classify`, `train` and `audit`.

In order: `names` (what columns are called), `coordinates` (places on the sky), `text`
(CSV and its kin), `opened` (any table as blocks of columns), `columns` (which is what,
and the rows).
"""
