"""Widgets and layout shared by the pages. Computes no figures and reads no database."""
