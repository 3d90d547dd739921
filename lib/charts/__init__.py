"""Figures drawn with plotly. Pure: computes nothing that `analysis` has not computed."""
