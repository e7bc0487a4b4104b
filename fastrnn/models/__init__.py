"""Models built from the layers, and the run folders that keep them."""
