"""Files that are whole or absent, checked records, and where numbers come from."""
