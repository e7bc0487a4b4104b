"""Cells that stand for all others where it does not matter what a formula computes."""

#: All gates fed by both sides and two states; halves of a gate; an operand of its own; no R.
STRUCTURES = ("lstm", "gru", "gru_reset_before", "indrnn")

#: Cells with weights besides W, R and b: a projected h; normalised products, and a state too.
WITH_EXTRA = ("lstmp", "ln_gru", "ln_lstm")
