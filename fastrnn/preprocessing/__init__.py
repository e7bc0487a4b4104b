"""From raw data to the arrays that models take."""

from fastrnn.preprocessing import categories, sequence, text

__all__ = ["categories", "sequence", "text"]
