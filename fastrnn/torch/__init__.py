"""Drop-in replacements for torch.nn's recurrent modules, on the kernels of fastrnn.

`accelerate(model)` swaps the recurrent modules of a model in place, its parameters, hooks and
`state_dict` kept; `restore(model)` swaps them back.  Given the optimizer too, both set and unset
the fused update that torch has for Adam and AdamW.  `RNN`, `LSTM`, `GRU`, `RNNCell`, `LSTMCell`
and `GRUCell` are subclasses of torch.nn's classes of the same names, and differ in how `forward`
computes only.

They compute float32 and float64 on the CPU.  Everything else is left to torch.nn: other devices
and dtypes and autocast, with one warning each; `torch.func` transforms, traced, scripted and
exported models; and all errors about arguments.  `torch.compile` compiles what is around the
layers, and cells with it.  `torch.jit.script(model)` puts torch.nn's modules in the place of ours
in `model` itself.  `quantize_dynamic` of torch.ao goes by the exact class and leaves ours as they
are: `restore` a model first.

Packing the weights, which is done in every call so that every change of them is seen, costs more
than a single step of few rows: cells, and calls of RNN and GRU with one step, are torch.nn's own
below 512 rows and while they are trained.

Rows of a large input that are equal, as those of a small embedding or of padding, are multiplied
with the input weights once.

How many threads take part is up to `fastrnn.set_num_threads`, not to `torch.set_num_threads`.
They are those of torch itself, on Linux, where it has as many: its threads stay awake for some
milliseconds after each operation, and others would have to share the processors with them.

Processes may be started by "spawn" and "forkserver", and workers of a DataLoader by "fork" too.
In another process that was forked after torch had computed in parallel, torch's own operations
hang on Linux, and with them training: its threads are not there.  Call `torch.set_num_threads(1)`
there first, as workers of a DataLoader do.

Outputs may be written to in place before backward, arguments may not, as usual; writing through
`.data` or NumPy goes unnoticed.

Examples
--------
>>> import torch, fastrnn.torch
>>> model = torch.nn.Sequential(torch.nn.LSTM(4, 5))
>>> print(fastrnn.torch.accelerate(model))
swapped: 0 (LSTM)
>>> y, (h, c) = model(torch.zeros(3, 2, 4))
>>> y.shape
torch.Size([3, 2, 5])
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        'fastrnn.torch needs PyTorch: install it with pip install "fastrnn[torch]"'
    ) from error

from fastrnn.torch.fallback import FallbackWarning
from fastrnn.torch.layers import GRU, LSTM, RNN
from fastrnn.torch.steps import GRUCell, LSTMCell, RNNCell
from fastrnn.torch.swap import Report, accelerate, restore

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "FallbackWarning",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "Report",
    "accelerate",
    "restore",
]
