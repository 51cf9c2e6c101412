"""Formats of datasets, one module each, behind the one table in `table`."""
