"""Figures, each a function of results that needs no file."""

import os

# Read when matplotlib is imported, and an error where it names a backend of a window or a notebook that is not there.
os.environ["MPLBACKEND"] = "agg"
