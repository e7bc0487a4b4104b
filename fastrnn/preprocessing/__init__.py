"""From raw data to the arrays that models take."""

from fastrnn.preprocessing import sequence, text

__all__ = ["sequence", "text"]
