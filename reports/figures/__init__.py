"""Figures, each a function of results that needs no file."""
