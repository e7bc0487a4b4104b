"""The weights of a recurrent layer: checked once, packed for every run or once for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.cells import CELLS
from fastrnn.cells.protocol import gate_names
from fastrnn.functional.panels import Share, gate_tile, packed, packed_transposed
from fastrnn.functional.products import packed_bias

Array = NDArray[Any]


class Weights:
    """A cell with its W, R and b.

    Parameters
    ----------
    cell : str or cell
        A name out of `fastrnn.cells.CELLS`, or an instance of a cell class.
    W, R, b : arrays
        As `functional.rnn` takes them.
    is_frozen : bool
        Keep what is packed: W, R and b do not change any more.
    """

    def __init__(
        self,
        cell: Any,
        W: ArrayLike,
        R: ArrayLike | None,
        b: ArrayLike | None,
        *,
        is_frozen: bool = False,
    ) -> None:
        self.cell = as_cell(cell)
        kind: Any = type(self.cell)
        inputs, recurrent = (len(gate_names(kind, part)) for part in ("INPUT", "RECURRENT"))
        if recurrent:
            self.R: Any = _validate.float_array("R", R, ("H", f"{recurrent} * H"))
            self.H = H = self.R.shape[0]
            self.R = _validate.float_array("R", self.R, (H, recurrent * H))
            self.like, self.dtype = "R", self.R.dtype
            self.W = self.same("W", W, ("I", inputs * H))
        else:
            if R is not None:
                raise ValueError(f"R: expected None for this cell, got {_validate.describe(R)}")
            self.R = None
            self.W = _validate.float_array("W", W, ("I", f"{inputs} * H"))
            self.H = H = self.W.shape[1] // inputs
            self.W = _validate.float_array("W", self.W, ("I", inputs * H))
            self.like, self.dtype = "W", self.W.dtype
        self.I = self.W.shape[0]
        self.b = None if b is None else self.same("b", b, (len(gate_names(kind, "BIAS")) * H,))
        self.tile = gate_tile(kind, H, self.dtype)
        self._packed: dict[str, Array] | None = {} if is_frozen else None

    def same(self, name: str, value: Any, shape: tuple[int | str, ...]) -> Array:
        """Return `value` as an array of this shape and the weights' dtype."""
        array = _validate.float_array(name, value, shape)
        return _validate.same_dtype(name, array, self.like, self.dtype)

    def input(self) -> Array:
        """Return W in panels."""
        return self._kept("W", lambda: packed(self.W, self.tile.input.panels))

    def bias(self) -> Array:
        """Return b in panels, or zeros."""
        return self._kept("b", lambda: packed_bias(self.b, self.tile.all, self.dtype))

    def recurrent(self) -> Array | None:
        """Return the part of R that takes h, in panels."""
        return self._part("R", self.tile.recurrent, packed)

    def inner(self) -> Array | None:
        """Return the part of R that takes the cell's own operand, in panels."""
        return self._part("inner", self.tile.inner, packed)

    def recurrent_transposed(self) -> Array | None:
        """Return `recurrent` for products with gradients."""
        return self._part("R^T", self.tile.recurrent, packed_transposed)

    def inner_transposed(self) -> Array | None:
        """Return `inner` for products with gradients."""
        return self._part("inner^T", self.tile.inner, packed_transposed)

    def _part(self, name: str, share: Share, pack: Callable[..., Array]) -> Array | None:
        if share.first == share.last:
            return None
        return self._kept(name, lambda: pack(self.R, share.panels))

    def _kept(self, name: str, make: Callable[[], Array]) -> Array:
        if self._packed is None:
            return make()
        if name not in self._packed:
            self._packed[name] = make()
        return self._packed[name]


def as_cell(cell: Any) -> Any:
    """Return the cell of that name, or `cell` itself if it is one.

    Raises
    ------
    ValueError, TypeError
        If it is neither.
    """
    if isinstance(cell, str):
        if cell not in CELLS:
            raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {cell!r}")
        return CELLS[cell]()
    if not hasattr(type(cell), "GATES"):
        raise TypeError(f"cell: expected a name or a cell, got {_validate.describe(cell)}")
    return cell
