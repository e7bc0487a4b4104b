"""Numba kernels for CPUs."""
