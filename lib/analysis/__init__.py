"""Figures and browsable tables from a reconciliation. Pure: no clock, configuration or I/O."""
