"""Figures and browsable tables derived from a reconciliation. Pure: no clock, configuration or
I/O.
"""
