"""The loops over time and over matrices, one folder for each kind of machine."""
