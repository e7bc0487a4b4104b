"""Modules of a model swapped in place, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import nn

from fastrnn.torch.layers import GRU, LSTM, RNN
from fastrnn.torch.optimizer import checked, fuse, unfuse
from fastrnn.torch.steps import GRUCell, LSTMCell, RNNCell

_OURS: dict[type[nn.Module], Any] = {
    nn.RNN: RNN,
    nn.LSTM: LSTM,
    nn.GRU: GRU,
    nn.RNNCell: RNNCell,
    nn.LSTMCell: LSTMCell,
    nn.GRUCell: GRUCell,
}
_STOCK: dict[type[nn.Module], Any] = {ours: stock for stock, ours in _OURS.items()}

# An attribute of modules that were swapped here, which copies and pickles of them have too.
_MARK = "_was_accelerated"


class Report(NamedTuple):
    """What became of the recurrent modules of a model, and of its optimizer; `print` shows it.

    swapped     (name, class) of each module that was swapped, by its name in the model
    left        (name, class, why) of each that was not
    optimizer   what became of it; empty where none was given
    """

    swapped: tuple[tuple[str, str], ...]
    left: tuple[tuple[str, str, str], ...]
    optimizer: str = ""

    def __str__(self) -> str:
        lines = [f"swapped: {name or 'the model itself'} ({kind})" for name, kind in self.swapped]
        lines += [
            f"left: {name or 'the model itself'} ({kind}): {why}" for name, kind, why in self.left
        ]
        lines = lines or ["no recurrent modules"]
        if self.optimizer:
            lines.append(f"optimizer: {self.optimizer}")
        return "\n".join(lines)


def accelerate(
    model: nn.Module,
    *,
    only: type[nn.Module] | str | Iterable[type[nn.Module] | str] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> Report:
    """Swap the recurrent modules of a model for those of fastrnn, in place.

    Every module whose class is torch.nn's RNN, LSTM, GRU, RNNCell, LSTMCell or GRUCell becomes an
    instance of the class of the same name here.  It stays the same object with the same
    parameters, hooks and flags, so that optimizers and whoever else refers to it go on as before.

    Parameters
    ----------
    model : torch.nn.Module
        The model, which may itself be a recurrent module.
    only : classes of torch.nn or names of modules, optional
        What to swap, one or several; all if not given.  Names are those of
        `model.named_modules()`.
    optimizer : torch.optim.Optimizer, optional
        The optimizer of the model.  Adam and AdamW are set to torch's own fused update, which
        passes over memory once instead of ten times; its results differ in rounding.  What is
        saved of it is as without `accelerate`.

    Returns
    -------
    Report
        What was swapped, and what was left as it is and why: subclasses of torch.nn's classes
        may compute something else.

    Raises
    ------
    TypeError
        If `model` is no module, `optimizer` is none, or `only` holds anything but classes and
        names; nothing is changed.
    ValueError
        If no module has a name in `only`, or a class in it is none of the six.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.ModuleDict({"encoder": torch.nn.GRU(4, 5), "head": torch.nn.Linear(5, 2)})
    >>> optimizer = torch.optim.Adam(model.parameters())
    >>> print(accelerate(model, optimizer=optimizer))
    swapped: encoder (GRU)
    optimizer: Adam, fused
    >>> print(restore(model, optimizer=optimizer))
    swapped: encoder (GRU)
    optimizer: Adam, as it was
    """
    wanted = _wanted(_modules(model), only)
    if optimizer is not None:
        checked(optimizer)
    swapped, left = [], []
    for name, module in model.named_modules():
        kind = type(module)
        if kind in _OURS:
            if wanted is None or kind in wanted or name in wanted:
                module.__class__ = _OURS[kind]
                setattr(module, _MARK, True)
                swapped.append((name, kind.__name__))
            else:
                left.append((name, kind.__name__, "not among `only`"))
        elif isinstance(module, tuple(_OURS)):
            why = "a subclass, which may compute something else"
            left.append((name, kind.__name__, "fastrnn's already" if kind in _STOCK else why))
    return Report(tuple(swapped), tuple(left), "" if optimizer is None else fuse(optimizer))


def restore(model: nn.Module, *, optimizer: torch.optim.Optimizer | None = None) -> Report:
    """Undo `accelerate`: swap what it has swapped in this model, or in one this is a copy of.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    optimizer : torch.optim.Optimizer, optional
        The optimizer that was given to `accelerate`.

    Returns
    -------
    Report
        What was swapped; and left, modules that are fastrnn's from the start, or whose class has
        changed since, as by a parametrization, which is to be removed first.

    Raises
    ------
    TypeError
        If `model` is no module, or `optimizer` is none; nothing is changed.
    """
    swapped, left = [], []
    modules = _modules(model)
    if optimizer is not None:
        checked(optimizer)
    for name, module in modules.items():
        kind = type(module)
        if kind in _STOCK and hasattr(module, _MARK):
            module.__class__ = _STOCK[kind]
            delattr(module, _MARK)
            swapped.append((name, kind.__name__))
        elif kind in _STOCK:
            left.append((name, kind.__name__, "fastrnn's from the start"))
        elif isinstance(module, tuple(_STOCK)):
            left.append((name, kind.__name__, "a subclass of fastrnn's class"))
    return Report(tuple(swapped), tuple(left), "" if optimizer is None else unfuse(optimizer))


def _modules(model: Any) -> dict[str, nn.Module]:
    """Return the modules of a model by name, each once."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    return dict(model.named_modules())


def _wanted(modules: dict[str, nn.Module], only: Any) -> set[type[nn.Module] | str] | None:
    """Return the classes and names in `only`, checked."""
    if only is None:
        return None
    several = [only] if isinstance(only, str | type) else only
    if not isinstance(several, Iterable):
        raise TypeError(f"only: expected classes of torch.nn or names, got {only!r}")
    several = list(several)
    for one in several:
        if isinstance(one, str):
            if one not in modules:
                raise ValueError(f"only: expected names of the model's modules, got {one!r}")
        elif not isinstance(one, type):
            raise TypeError(f"only: expected classes of torch.nn or names, got {one!r}")
        elif one not in _OURS:
            names = ", ".join(kind.__name__ for kind in _OURS)
            raise ValueError(f"only: expected torch.nn's {names}, got {one.__name__}")
    return set(several)
