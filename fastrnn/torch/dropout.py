"""Dropout as torch has it, with the numbers that torch would draw, several times as fast."""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastrnn.kernels.cpu import buffers, twister

# Words of 8 bytes in the state of torch's generator on the CPU: the seed; how many words of the
# twister are left, and in the upper half whether it was seeded; the place of the next; the words.
_LEFT, _NEXT, _STATE = 1, 2, 3
_SIZE = 632
_INT32 = (1 << 32) - 1

# Between looking at torch's generator and putting it back, no other thread of ours may.
_lock = threading.Lock()


def _after_fork() -> None:
    """In a forked child nobody is left to give the lock back."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def dropout(x: Tensor, rate: float) -> Tensor:
    """Return `torch.dropout(x, rate, True)`, to the bit, and leave the generator as that does.

    Parameters
    ----------
    x : tensor of any shape
        float32 or float64 on the CPU.
    rate : float
        In [0, 1].
    """
    if rate in (0.0, 1.0) or not x.numel() or not _is_known(x.dtype):
        return torch.dropout(x, rate, True)
    dropped: Tensor = _Dropout.apply(x, rate)  # type: ignore[no-untyped-call]
    return dropped


class _Dropout(torch.autograd.Function):
    """`dropout`, differentiable any number of times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        y, factors = _drop(x, rate, torch.default_generator)
        ctx.save_for_backward(factors)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        (factors,) = ctx.saved_tensors
        return dy * factors, None


def _drop(x: Tensor, rate: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return what is left of x, and the factors."""
    array: NDArray[Any] = np.ascontiguousarray(x.numpy(force=True))
    y, factors = buffers.empty(array.shape, array.dtype), buffers.empty(array.shape, array.dtype)
    one = array.dtype.type(1)
    with _lock:
        state = generator.get_state()
        words = state.numpy().view(np.int64)
        # Where nothing is left the next place does not count: it is 0 after seeding.
        left = int(words[_LEFT]) & _INT32
        place = np.array([int(words[_NEXT]) if left > 1 else twister.WORDS], np.int64)
        arguments = twister.Drop(
            array.size, array.reshape(-1), y.reshape(-1), factors.reshape(-1),
            float(one / array.dtype.type(1 - rate)), int(np.ceil((1 - rate) * 2.0**53)),
            words[_STATE : _STATE + twister.WORDS], place, np.empty(twister.WORDS, np.int64),
        )  # fmt: skip
        twister.drop(None, arguments, 1)
        words[_LEFT] += twister.WORDS + 1 - int(place[0]) - left
        words[_NEXT] = place[0]
        generator.set_state(state)
    return torch.from_numpy(y), torch.from_numpy(factors)


@cache
def _is_known(dtype: torch.dtype) -> bool:
    """Return whether torch draws its numbers as we do: it may, or not, in other builds."""
    generators = [torch.Generator().manual_seed(20) for _ in range(2)]
    if generators[0].get_state().numel() != 8 * _SIZE:
        return False
    x = torch.ones(1001, dtype=dtype)
    for rate in (0.3, 0.75):
        y, _ = _drop(x, rate, generators[0])
        desired = torch.empty_like(x).bernoulli_(1 - rate, generator=generators[1])
        if not torch.equal(y, desired.div_(1 - rate)):
            return False
        if not torch.equal(*(generator.get_state() for generator in generators)):
            return False
    return True
