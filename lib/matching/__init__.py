"""Two tables in, one reconciliation out. Pure: no clock, configuration or I/O."""
