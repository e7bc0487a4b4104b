"""What a layer takes: checked at every call, in the layer's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class InputSpec:
    """Rank and lengths that an input must have.

    Parameters
    ----------
    dtype : str, optional
        Accepted for Keras' sake; layers convert what they are given.
    shape : tuple, optional
        Length of each axis, None for any.
    ndim, max_ndim, min_ndim : int, optional
        Number of axes.
    axes : dict, optional
        Length of some axes by their number, which may be negative.
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
    ) -> None:
        self.dtype = dtype
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {} if axes is None else dict(axes)

    def fits(self, shape: tuple[int | None, ...]) -> bool:
        """Return whether an input of this shape is one; None stands for any length."""
        ndim = len(shape)
        if self.ndim is not None and ndim != self.ndim:
            return False
        if not (self.min_ndim or 0) <= ndim <= (ndim if self.max_ndim is None else self.max_ndim):
            return False
        wanted = self.axes if self.shape is None else dict(enumerate(self.shape)) | self.axes
        for axis, length in wanted.items():
            if not -ndim <= axis < ndim:
                return False
            if shape[axis] != length and length is not None and shape[axis] is not None:
                return False
        return True

    def __str__(self) -> str:
        """Return what is expected: shape (None, 3), or at least 2 axes, length 5 in axis -1."""
        wanted = dict(enumerate(self.shape or ())) | self.axes
        if self.ndim is not None:
            lengths = [wanted.get(axis, wanted.get(axis - self.ndim)) for axis in range(self.ndim)]
            return f"shape {tuple(lengths)}"
        parts = []
        if self.min_ndim is not None:
            parts.append(f"at least {self.min_ndim} axes")
        if self.max_ndim is not None:
            parts.append(f"at most {self.max_ndim} axes")
        parts += [f"length {length} in axis {axis}" for axis, length in wanted.items()]
        return ", ".join(parts) or "anything"


def check_inputs(name: str, specs: Any, shapes: Sequence[tuple[int | None, ...]]) -> None:
    """Compare the shapes of a layer's inputs with its `input_spec`: one, a list of them, or None.

    Raises
    ------
    ValueError
        If an input does not fit; the message starts with the layer's name.
    """
    if specs is None:
        return
    if isinstance(specs, InputSpec) and len(shapes) == 1 and specs.fits(shapes[0]):
        return
    each = list(specs) if isinstance(specs, list | tuple) else [specs]
    if len(each) != len(shapes):
        raise ValueError(f"{name}: expected {len(each)} inputs, got {len(shapes)}")
    for spec, shape in zip(each, shapes, strict=True):
        if spec is not None and not spec.fits(shape):
            raise ValueError(f"{name}: expected an input of {spec}, got shape {shape}")
