"""cli: the command line, `python -m toymodels_np`."""
