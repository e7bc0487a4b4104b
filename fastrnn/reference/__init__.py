"""Plain float64 NumPy, obviously right: the oracle that every fast path is tested against.

It shares no code with the rest of the package, so that a mistake there cannot hide here.
Every cell in `CELLS` is a formula for one step (`fastrnn.reference.recurrent` is the time loop,
`fastrnn.reference.autodiff` takes the gradients) and has the same names::

    GATES       pre-activations of a hidden unit; INPUT, RECURRENT and BIAS name them in the order
                of the columns of W and R and of the parts of b
    STATES      state letters, in the order of the tuples `state`, `dstate` and `Gradients.states`
    forward     (x, W, R, b, state, lengths=None, *, options) -> (y, state_T, saved)
    backward    (saved, dy, dstate, dstates=None) -> Gradients(x, W, R, b, states, extra)
    gradient_norms      the same arguments -> norms (T, B) of the gradients of h
"""

from fastrnn.reference import activations, ctc, embedding, linear, softmax, update
from fastrnn.reference.cifg import CIFG
from fastrnn.reference.gru import GRU
from fastrnn.reference.gru_reset_before import GRUResetBefore
from fastrnn.reference.indrnn import IndRNN
from fastrnn.reference.ln_gru import LayerNormGRU
from fastrnn.reference.ln_lstm import LayerNormLSTM
from fastrnn.reference.lstm import LSTM
from fastrnn.reference.lstmp import LSTMP
from fastrnn.reference.mgu import MGU
from fastrnn.reference.peephole import Peephole
from fastrnn.reference.recurrent import Cell
from fastrnn.reference.rnn import RNN
from fastrnn.reference.slstm import SLSTM

CELLS: dict[str, Cell] = {
    "rnn": RNN(),
    "lstm": LSTM(),
    "peephole": Peephole(),
    "cifg": CIFG(),
    "gru": GRU(),
    "gru_reset_before": GRUResetBefore(),
    "mgu": MGU(),
    "indrnn": IndRNN(),
    "slstm": SLSTM(),
    "lstmp": LSTMP(),
    "ln_lstm": LayerNormLSTM(),
    "ln_gru": LayerNormGRU(),
}

__all__ = ["CELLS", "activations", "ctc", "embedding", "linear", "softmax", "update"]
