"""The explorer: one HTML file on which features are dragged, on exact numbers."""
