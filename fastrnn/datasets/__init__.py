"""Data sets that lie on this machine, with Keras' loaders; nothing is ever downloaded."""

from fastrnn.datasets import imdb, mnist

__all__ = ["imdb", "mnist"]
