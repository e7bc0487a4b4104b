"""What a cell is: its gates, its states and the pointwise formula of one step.

A cell is a NamedTuple class.  Its fields are its run-time constants: floats, and activations
(`fastrnn.cells.activations`), whose class chooses the formula when a kernel is compiled.  It has

    GATES       names of the pre-activations of a hidden unit, in the order of a tile's columns
    INPUT       those that the input reaches through W, in the order of the user's columns
    RECURRENT   those that the previous h reaches through R; () for a cell without R
    BIAS        those that b reaches
    INNER       those of RECURRENT that take an operand of the cell's own instead of h
    STATES      names of the states; the first, h, is the output and what R multiplies
    forward(cell, a, state)
        a       the pre-activations, one for each gate
        state   the previous states
        Returns (saved, state): one number for each gate to keep for `backward`, and the states.
    backward(cell, saved, before, after, dstate)
        before, after   the states around the step
        dstate          gradients of the states after the step
        Returns (da, dstate): gradients of the pre-activations and of the previous states, the
        latter without what flows back through R.

INPUT, RECURRENT and BIAS are GATES where they are not given, INNER is empty; the gates of each
lie side by side in GATES.  Users' matrices have PyTorch's order of gates.  A gate that neither W
nor R feeds is a learned number of each hidden unit, given in b: a peephole.  Cells with inner
gates have two more formulas:

    operand(cell, a, h)
        Returns (a, operand): what R multiplies for the inner gates, and pre-activations for
        `forward` to take, of which the inner ones are not complete yet.
    operand_backward(cell, da, h, doperand)
        da      what `backward` returned; it may leave there what is needed here
        Returns (da, dh): gradients of all pre-activations, and of h through the operand.

Where PROJECTED is true, what `forward` returns as h is m of H numbers, and h = m P has the S
features of `extra["P"]` (H, S); formulas make no use of the previous h.

NORMALISED names what is layer-normalised: "x" and "h" stand for x W and h R, each over all its
gates in a row, "c" for the first state but h, over the hidden units.  In a cell with "c",
`forward` returns in the place of h what the last two formulas need of the step:

    expose(cell, o, n)
        o, n    what `forward` returned for h, and the normalised c
        Returns h.
    expose_backward(cell, saved, n, dh)
        Returns (do, dn), the first of which `backward` takes in the place of dh.

EXTRA names the weights that such cells have besides W, R and b.

All formulas use + - * / and the functions of `fastrnn.simd.mathematics` only, and so run on
vectors in kernels and on Python floats elsewhere.
"""

from __future__ import annotations

from typing import Any

from fastrnn.cells.cifg import CoupledLSTM
from fastrnn.cells.gru import GRU
from fastrnn.cells.gru_reset_before import GRUResetBefore
from fastrnn.cells.indrnn import IndRNN
from fastrnn.cells.ln_gru import LayerNormGRU
from fastrnn.cells.ln_lstm import LayerNormLSTM
from fastrnn.cells.lstm import LSTM
from fastrnn.cells.lstmp import LSTMP
from fastrnn.cells.mgu import MGU
from fastrnn.cells.own import cell
from fastrnn.cells.peephole import PeepholeLSTM
from fastrnn.cells.rnn import RNN
from fastrnn.cells.slstm import SLSTM

#: Every cell by the name users give.
CELLS: dict[str, Any] = {
    "rnn": RNN,
    "lstm": LSTM,
    "peephole": PeepholeLSTM,
    "cifg": CoupledLSTM,
    "gru": GRU,
    "gru_reset_before": GRUResetBefore,
    "mgu": MGU,
    "indrnn": IndRNN,
    "slstm": SLSTM,
    "lstmp": LSTMP,
    "ln_lstm": LayerNormLSTM,
    "ln_gru": LayerNormGRU,
}

__all__ = ["CELLS", "cell"]
