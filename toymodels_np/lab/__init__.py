"""lab: check the paper. Sweeps, claims, figures and the command line."""
