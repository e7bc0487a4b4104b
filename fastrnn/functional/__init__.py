"""The engine on NumPy arrays."""
