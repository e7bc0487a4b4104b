"""Plain float64 NumPy, obviously right: the oracle that every fast path is tested against.

It shares no code with the rest of the package, so that a mistake there cannot hide here.
Every cell module in `CELLS` exports the same four names::

    GATES     gate letters, in the order of the columns of W, R and b
    STATES    state letters, in the order of the tuples `state`, `dstate` and `Gradients.states`
    forward   (x, W, R, b, state, lengths=None) -> (y, state_T, saved)
    backward  (saved, dy, dstate) -> Gradients(x, W, R, b, states)
"""

from fastrnn.reference import embedding, linear, lstm, softmax, update

CELLS = {"lstm": lstm}

__all__ = ["CELLS", "embedding", "linear", "lstm", "softmax", "update"]
