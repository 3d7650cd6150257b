"""Results on disk -> tables, figures, a page. See `python -m reports --help`."""
