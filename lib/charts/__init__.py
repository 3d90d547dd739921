"""Plotly charts of the figures of `analysis`. Pure; computes no figures itself."""
