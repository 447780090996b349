"""Tables of any form, read in one way by `classify`, `train` and `audit`.

The chapters, in order: `names` (what columns are called), `heads` (what is said of
them), `text` (CSV and its kin), `opened` (any table as blocks of columns), `columns`
(which is what), `coordinates` (places on the sky), `rows` (and what each points at),
`cells` (images in Parquet).
"""
