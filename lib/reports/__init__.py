"""Write and verify workbooks, name them and lock them. Decides nothing about the rows."""
