"""What is left to torch.nn: whatever the kernels do not take, and whatever only watches.

Nothing is tried in vain: where a tensor does not fit, `forward` is torch.nn's own, which computes
the result or raises its error.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter
from torch.nn.utils.rnn import PackedSequence

_PLAIN = (Tensor, Parameter)
_DTYPES = (torch.float32, torch.float64)

# A single step may be faster on the kernels from about so many rows on.  Measured on an Intel Xeon
# of 2023 with 256 units and one thread, without gradients, and how many times as long torch takes:
# LSTMCell 0.6 with 32 rows, 1.1 with 256, 1.3 with 512; GRUCell 0.5, 0.7 and 1.0.  In training
# both take 0.3 to 0.8 with 1 to 64 rows.
STEP_ROWS = 512

_told: set[str] = set()


class FallbackWarning(UserWarning):
    """Told once for each reason why torch.nn computes what fastrnn was to compute."""


def is_watched() -> bool:
    """Return whether torch wants to see its own operations.

    So it is while a model is traced or exported, under the transforms of `torch.func` and
    forward-mode gradients, and under modes that count or replace operations.
    """
    return (
        torch._C._is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        or forward_ad._current_level >= 0
    )


def are_plain(tensors: Sequence[Any]) -> bool:
    """Return whether these are torch's own tensors with strides, and autocast leaves them alone."""
    for tensor in tensors:
        if type(tensor) not in _PLAIN or tensor.layout is not torch.strided:
            return False
    return not torch.is_autocast_enabled("cpu")


def takes(tensors: Sequence[Any]) -> bool:
    """Return whether the kernels read these: plain tensors of one dtype on the CPU."""
    dtype = getattr(tensors[0], "dtype", None)
    if dtype not in _DTYPES or torch.is_autocast_enabled("cpu"):
        return False
    for tensor in tensors:
        if (
            type(tensor) not in _PLAIN
            or tensor.dtype is not dtype
            or not tensor.is_cpu
            or tensor.layout is not torch.strided
        ):
            return False
    return True


def pays_off(T: int, B: int, tensors: Sequence[Tensor]) -> bool:
    """Return whether the kernels are worth calling where torch.nn multiplies by BLAS.

    They pack the weights in every call.  A single step of few rows does not make up for it, and a
    step that is trained never does: gradients are unpacked as well.
    """
    if T > 1:
        return True
    is_trained = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return B >= STEP_ROWS and not is_trained


def tell(name: str, values: Iterable[Any]) -> None:
    """Warn once for each reason why the module `name` has left these to torch.nn."""
    for value in values:
        reason = _reason(value.data if isinstance(value, PackedSequence) else value)
        if reason is not None and reason not in _told:
            _told.add(reason)
            warnings.warn(
                f"fastrnn.torch.{name} leaves {reason} to torch.nn: it computes float32 and "
                "float64 on the CPU; said once",
                FallbackWarning,
                stacklevel=2,
            )


def _reason(tensor: Any) -> str | None:
    """Return what is special about a tensor, or about the time."""
    if not isinstance(tensor, Tensor):
        return None
    if type(tensor) not in _PLAIN:
        return f"tensors of type {type(tensor).__name__}"
    if not tensor.is_cpu:
        return f"tensors on {tensor.device.type}"
    if tensor.dtype not in _DTYPES:
        return f"{tensor.dtype} tensors"
    if tensor.layout is not torch.strided:
        return f"{tensor.layout} tensors"
    return "everything under autocast" if torch.is_autocast_enabled("cpu") else None
