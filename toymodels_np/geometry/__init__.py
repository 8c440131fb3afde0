"""geometry: look at it. Measures of a weight matrix, canonical positions, and the names of its shapes."""
