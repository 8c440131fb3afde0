"""geometry: look at it. Measures of weights, canonical positions, and the names of shapes."""
