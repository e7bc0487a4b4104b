"""What a cell is: its gates, its states and the pointwise formula of one step.

A cell is a NamedTuple class.  Its fields are its run-time constants, and it has

    GATES               letters of the pre-activations of a hidden unit, in PyTorch's order
    INPUT_GATES         first and last+1 of the gates that the input reaches through W
    RECURRENT_GATES     the same for the previous hidden state through R
    STATES              names of the states; the first, h, is the output and what R multiplies
    forward(cell, a, state)
        a       the pre-activations, one for each gate
        state   the previous states
        Returns (saved, state): one number for each gate to keep for `backward`, and the states.
    backward(cell, saved, before, after, dstate)
        before, after   the states around the step
        dstate          gradients of the states after the step
        Returns (da, dstate): gradients of the pre-activations and of the previous states, the
        latter without what flows back through R.

Both formulas use + - * / and the functions of `fastrnn.simd.mathematics` only, and so run on
vectors in kernels and on Python floats elsewhere.
"""

from __future__ import annotations

from typing import Any

from fastrnn.cells.lstm import LSTM

#: Every cell by the name users give.
CELLS: dict[str, Any] = {"lstm": LSTM}
