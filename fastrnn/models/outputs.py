"""Outputs of a model and what belongs to each: its name, targets, losses, weights, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Outputs:
    """How many outputs a model has, and what they are called.

    Parameters
    ----------
    y_pred : Tensor, or list, tuple or dict of Tensors
        One result of the model.
    names : sequence of str, optional
        The outputs' names, for those that are not in a dict.
    """

    def __init__(self, y_pred: Any, names: Sequence[str] | None = None) -> None:
        self.keys: list[str] | None = None
        self.is_single = not isinstance(y_pred, dict | list | tuple)
        if isinstance(y_pred, dict):
            self.keys = sorted(y_pred)
            self.names: list[str | None] = list(self.keys)
        else:
            count = 1 if self.is_single else len(y_pred)
            is_named = names is not None and len(names) == count
            self.names = list(names) if is_named and names is not None else [None] * count

    def __len__(self) -> int:
        return len(self.names)

    def split(self, name: str, value: Any) -> list[Any]:
        """Return the part of an argument for each output, by position or by name; None for none.

        Raises
        ------
        ValueError
            If it has parts for other outputs.
        """
        if value is None:
            return [None] * len(self)
        if isinstance(value, dict):
            if self.is_single and self.names[0] not in value and len(value) == 1:
                return list(value.values())
            unknown = set(value) - set(self.names)
            if unknown:
                raise ValueError(
                    f"{name}: expected names of outputs, {self.names}, got {sorted(unknown)[0]!r}"
                )
            return [value.get(key) for key in self.names]
        if self.is_single:
            return [value[0] if _is_one_of_one(value) else value]
        if isinstance(value, list | tuple):
            if len(value) != len(self):
                raise ValueError(f"{name}: expected {len(self)} parts, got {len(value)}")
            return list(value)
        raise ValueError(
            f"{name}: expected a part for each of the {len(self)} outputs, "
            f"got {type(value).__name__}"
        )

    def broadcast(self, name: str, value: Any) -> list[Any]:
        """Return the part for each output of what may be one for all."""
        if isinstance(value, dict | list | tuple):
            return self.split(name, value)
        return [value] * len(self)

    def prefix(self, i: int) -> str:
        """Return what the names of an output's losses and metrics start with."""
        return "" if self.is_single or self.names[i] is None else f"{self.names[i]}_"


def _is_one_of_one(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 1


def unique(names: Sequence[str]) -> list[str]:
    """Return the names, those that come again with a number."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        result.append(f"{name}_{count}" if count else name)
    return result
