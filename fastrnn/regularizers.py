"""Penalties on weights that are added to the loss, named as in Keras."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from fastrnn import ops
from fastrnn.initializers.identifier import described, identified
from fastrnn.initializers.initializer import number
from fastrnn.tape import Tensor


class Regularizer(ABC):
    """A penalty: takes a tensor, returns a scalar Tensor that tapes can differentiate."""

    @abstractmethod
    def __call__(self, x: Any) -> Tensor:
        """Return the penalty (), of the dtype of `x` (...)."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """Return a new regularizer with these arguments."""
        return cls(**config)


class L1L2(Regularizer):
    """l1 * sum(abs(x)) + l2 * sum(x ** 2).

    Parameters
    ----------
    l1, l2 : float
        At least 0.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = number("l1", 0.0 if l1 is None else l1, 0)
        self.l2 = number("l2", 0.0 if l2 is None else l2, 0)

    def __call__(self, x: Any) -> Tensor:
        """Return the penalty (), of the dtype of `x` (...)."""
        x = ops.convert_to_tensor(x)
        terms = []
        if self.l1:
            terms.append(self.l1 * ops.sum(ops.absolute(x)))
        if self.l2:
            terms.append(self.l2 * ops.sum(ops.square(x)))
        if not terms:
            return ops.zeros((), x.dtype)
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1 * sum(abs(x)); l1 at least 0."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=0.01 if l1 is None else l1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"l1": self.l1}


class L2(L1L2):
    """l2 * sum(x ** 2); l2 at least 0."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=0.01 if l2 is None else l2)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean absolute cosine between two rows, or columns, of a matrix.

    Parameters
    ----------
    factor : float
        At least 0.
    mode : str
        "rows" or "columns".
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = number("factor", factor, 0)
        if mode not in ("rows", "columns"):
            raise ValueError(f'mode: expected "rows" or "columns", got {mode!r}')
        self.mode = mode

    def __call__(self, x: Any) -> Tensor:
        """Return the penalty () of a matrix x (n, m), of its dtype."""
        x = ops.convert_to_tensor(x)
        if x.ndim != 2:
            raise ValueError(f"x: expected a matrix, got shape {x.shape}")
        vectors = x if self.mode == "rows" else ops.transpose(x)
        # As in Keras, vectors shorter than this are not brought to length 1.
        lengths = ops.maximum(ops.norm(vectors, axis=1, keepdims=True), 1e-12)
        unit = vectors / lengths
        n = unit.shape[0]
        if n < 2:
            return 0.0 * ops.sum(unit)
        cosines = ops.matmul(unit, ops.transpose(unit)) * (1.0 - ops.eye(n, dtype=x.dtype))
        return self.factor / (n * (n - 1)) * ops.sum(ops.absolute(cosines))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"factor": self.factor, "mode": self.mode}


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

#: What makes regularizers, by the names that users give.
NAMES: dict[str, Callable[..., Regularizer]] = {
    "l1": L1,
    "L1": L1,
    "l2": L2,
    "L2": L2,
    "l1l2": L1L2,
    "L1L2": L1L2,
    "orthogonal": OrthogonalRegularizer,
    "orthogonal_regularizer": OrthogonalRegularizer,
    "OrthogonalRegularizer": OrthogonalRegularizer,
}


def get(identifier: Any) -> Any:
    """Return a regularizer.

    Parameters
    ----------
    identifier : str, dict, class, callable or None
        A name out of `NAMES`, what `serialize` returns, a class, or what is returned as it is: a
        callable and None.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    return identified("regularizer", NAMES, identifier)


def serialize(regularizer: Any) -> Any:
    """Return a regularizer's name and arguments, for `get` and for JSON; None for None."""
    return described(regularizer)


def deserialize(config: Any) -> Any:
    """Return the regularizer that `serialize` described."""
    return get(config)
