"""Cells that stand for all others where it does not matter what a formula computes."""

#: All gates fed by both sides and two states; halves of a gate; an operand of its own; no R.
STRUCTURES = ("lstm", "gru", "gru_reset_before", "indrnn")
