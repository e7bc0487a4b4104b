"""Optimizers of torch that update in one pass over memory, and back.

On a CPU, torch's Adam passes over each parameter and its averages about ten times; torch has the
same update as one kernel, `fused=True`, but takes it only where it is asked to.  Of a model whose
recurrent layers are fast, the rest is often mostly this: a large embedding, above all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

# Those that pass over memory many times.  Neither takes sparse gradients, fused or not.
_KINDS = (torch.optim.Adam, torch.optim.AdamW)
_DTYPES = (torch.float32, torch.float64)

# An attribute of optimizers that were fused here: what takes the hooks away again.
_MARK = "_fused_by_fastrnn"


def checked(optimizer: Any) -> torch.optim.Optimizer:
    """Return the argument `optimizer`, which must be one of torch's."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        found = type(optimizer).__name__
        raise TypeError(f"optimizer: expected a torch.optim.Optimizer, got {found}")
    return optimizer


def fuse(optimizer: torch.optim.Optimizer) -> str:
    """Make an optimizer update in one pass; return what became of it, for a `Report`.

    Its `state_dict` stays that of torch's optimizer, and one that is loaded changes nothing.
    """
    kind = type(optimizer).__name__
    why = _why_not(optimizer)
    if why:
        return f"{kind}, left: {why}"
    _set(optimizer)
    removers: list[Callable[[], None]] = [
        optimizer.register_load_state_dict_post_hook(_set).remove,
        optimizer.register_state_dict_post_hook(_hide).remove,
    ]
    setattr(optimizer, _MARK, removers)
    return f"{kind}, fused"


def unfuse(optimizer: torch.optim.Optimizer) -> str:
    """Undo `fuse`; return what became of the optimizer, for a `Report`."""
    kind = type(optimizer).__name__
    removers = optimizer.__dict__.pop(_MARK, None)
    if removers is None:
        return f"{kind}, left: not fused by accelerate()"
    for remove in removers:
        remove()
    for group in optimizer.param_groups:
        group["fused"] = None
    return f"{kind}, as it was"


def _why_not(optimizer: torch.optim.Optimizer) -> str:
    """Return what is against fusing an optimizer; nothing if it can be."""
    if hasattr(optimizer, _MARK):
        return "fused already"
    if type(optimizer) not in _KINDS:
        return "neither Adam nor AdamW"
    for group in optimizer.param_groups:
        if group["fused"] is not None:
            return f"fused={group['fused']} was chosen for it"
        for option in ("foreach", "capturable", "differentiable"):
            if group[option]:
                return f"{option}=True was chosen for it"
        for parameter in group["params"]:
            if parameter.device.type != "cpu" or parameter.dtype not in _DTYPES:
                return f"a parameter is {parameter.dtype} on {parameter.device}"
    return ""


def _set(optimizer: torch.optim.Optimizer) -> None:
    """Choose the fused update for all parameters that there are now."""
    for group in optimizer.param_groups:
        group["fused"] = True
    for state in optimizer.state.values():
        # Under a default dtype of float64 it is that otherwise, which the kernel does not take.
        if "step" in state:
            state["step"] = state["step"].float()


def _hide(optimizer: torch.optim.Optimizer, state_dict: dict[str, Any]) -> None:
    """Leave no trace in what is saved."""
    for group in state_dict["param_groups"]:
        group["fused"] = None
