"""The workbook: cells, file, location, name and verification. Decides nothing about the rows."""
