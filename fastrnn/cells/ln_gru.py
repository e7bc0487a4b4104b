"""Gated recurrent unit with layer normalisation (Ba, Kiros and Hinton 2016), reset after.

LN is over all three gates of a row together, u_n and v_n being apart as in `fastrnn.cells.gru`:

(1) u = LN(x W; gain_x)    v = LN(h_prev R; gain_h)
(2) a_r = u_r + v_r + b_r    a_z = u_z + v_z + b_z    a_nx = u_n + b_nx    a_nh = v_n + b_nh
(3) the formula of the GRU
"""

from __future__ import annotations

from fastrnn.cells.gru import GRU


class LayerNormGRU(GRU):
    """The GRU cell on normalised products; `extra` holds gain_x and gain_h (3H,)."""

    __slots__ = ()

    NORMALISED = ("x", "h")
    EXTRA = ("gain_x", "gain_h")
