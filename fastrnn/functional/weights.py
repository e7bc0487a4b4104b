"""The weights of a recurrent layer: checked once, packed for every run or once for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.cells import CELLS
from fastrnn.cells.protocol import extra_names, gate_names, normalised, projects
from fastrnn.functional.panels import (
    Panels,
    Share,
    feature_panels,
    gate_tile,
    packed,
    packed_transposed,
)
from fastrnn.functional.products import packed_bias, project
from fastrnn.functional.steps import all_rows
from fastrnn.kernels.cpu import buffers

Array = NDArray[Any]


class Weights:
    """A cell with its W, R, b and whatever other weights it has.

    I, H and `features` are the numbers in x, in the states and in h, `widths` those in each of
    the states: H, but in h where it is projected.

    Parameters
    ----------
    cell : str or cell
        A name out of `fastrnn.cells.CELLS`, or an instance of a cell class.
    W, R, b, extra : arrays, and a mapping of arrays
        As `functional.rnn` takes them.
    is_frozen : bool
        Keep what is packed: the weights do not change any more.
    """

    def __init__(
        self,
        cell: Any,
        W: ArrayLike,
        R: ArrayLike | None,
        b: ArrayLike | None,
        extra: Mapping[str, ArrayLike] | None = None,
        *,
        is_frozen: bool = False,
    ) -> None:
        self.cell = as_cell(cell)
        kind: Any = type(self.cell)
        inputs, recurrent = (len(gate_names(kind, part)) for part in ("INPUT", "RECURRENT"))
        if recurrent:
            letter = "S" if projects(kind) else "H"
            self.R: Any = _validate.float_array("R", R, (letter, f"{recurrent} * H"))
            self.H = H = self.features = self.R.shape[0]
            if projects(kind):
                self.H = H = max(1, self.R.shape[1] // recurrent)
            self.R = _validate.float_array("R", self.R, (self.features, recurrent * H))
            self.like, self.dtype = "R", self.R.dtype
            self.W = self.same("W", W, ("I", inputs * H))
        else:
            if R is not None:
                raise ValueError(f"R: expected None for this cell, got {_validate.describe(R)}")
            self.R = None
            self.W = _validate.float_array("W", W, ("I", f"{inputs} * H"))
            self.H = H = self.features = self.W.shape[1] // inputs
            self.W = _validate.float_array("W", self.W, ("I", inputs * H))
            self.like, self.dtype = "W", self.W.dtype
        self.I = self.W.shape[0]
        self.b = None if b is None else self.same("b", b, (len(gate_names(kind, "BIAS")) * H,))
        self.widths = (self.features, *(H for _ in kind.STATES[1:]))
        self.is_normalised = bool(normalised(kind))
        self.extra = self._checked(extra, inputs, recurrent)
        self.tile = gate_tile(kind, H, self.dtype)
        self.feature_panels = feature_panels(self.features, self.dtype)
        self.is_frozen = is_frozen
        # Known of weights that do not change only: to look at R costs what it saves.
        self.vanishes_at_zero = is_frozen and self._vanishes_at_zero()
        # (vocabulary, I) whose rows are the input, where that does not change either.
        self.table: Array | None = None
        self._packed: dict[str, Array] = {}

    def _checked(
        self, extra: Mapping[str, ArrayLike] | None, inputs: int, recurrent: int
    ) -> dict[str, Array]:
        """Return the other weights by name; see `functional.rnn`."""
        names = extra_names(type(self.cell))
        if extra is None and not names:
            return {}
        H = self.H
        shapes = {
            "P": (H, self.features), "gain_x": (inputs * H,), "gain_h": (recurrent * H,),
            "gain_c": (H,), "bias_c": (H,),
        }  # fmt: skip
        given = {} if extra is None else extra
        if not isinstance(given, Mapping) or not set(given) <= set(names):
            wanted = f"the names {', '.join(names)}" if names else "None for this cell"
            got = _validate.describe(given)
            if isinstance(given, Mapping):
                got = ", ".join(map(repr, given))[:80]
            raise ValueError(f"extra: expected {wanted}, got {got}")
        for name in names:
            if name not in given:
                raise ValueError(f'extra["{name}"]: expected {shapes[name]} floats, got nothing')
        return {name: self.same(f'extra["{name}"]', given[name], shapes[name]) for name in names}

    def _vanishes_at_zero(self) -> bool:
        """Return whether h @ R, which is not normalised, is 0 for h = 0."""
        return self.R is not None and not self.is_normalised and bool(np.isfinite(self.R).all())

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

    def looked_up(self, E: Array) -> Array:
        """Return E @ W + b of a table E (vocabulary, I), in panels (P, vocabulary, width)."""

        def make() -> Array:
            panels = self.tile.all
            products = buffers.empty((panels.number, len(E), panels.width), self.dtype)
            rows = all_rows(E, len(E), self.I)
            project(rows, self.input(), self.bias(), panels, self.tile.input, products)
            return products

        return self._kept("table", make) if E is self.table else make()

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

    def projection(self) -> dict[str, Any]:
        """Return P in panels and what their size is, as `scan.ProjectedScan` takes them."""
        P = self._kept("P", lambda: packed(self.extra["P"], self.feature_panels))
        return {"P": P} | self._panels_of_features()

    def projection_transposed(self) -> dict[str, Any]:
        """Return P for products with gradients, as `scan.ProjectedBackwardScan` takes it."""
        P = self._kept("P^T", lambda: packed_transposed(self.extra["P"], self.feature_panels))
        return {"P_transposed": P} | self._panels_of_features()

    def padded(self, name: str) -> Array:
        """Return the other weight `name`, a number a hidden unit, with zeros up to whole panels."""

        def make() -> Array:
            row = buffers.zeros((self.tile.padded,), self.dtype)
            row[: self.H] = self.extra[name]
            return row

        return self._kept(name, make)

    def _panels_of_features(self) -> dict[str, int]:
        panels = self.feature_panels
        return {"feature_panels": panels.number, "feature_vectors": panels.vectors}

    def gains(self, name: str, panels: Panels) -> Array:
        """Return the other weight `name`, a number a column, in panels (panels, 1, width)."""
        return self._kept(name, lambda: packed(self.extra[name][None], panels))

    def _part(self, name: str, share: Share, pack: Callable[..., Array]) -> Array | None:
        if share.first == share.last:
            return None
        return self._kept(name, lambda: pack(self.R, share.panels))

    def _kept(self, name: str, make: Callable[[], Array]) -> Array:
        if not self.is_frozen:
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
