"""One vector of a sequence."""

from __future__ import annotations

from typing import Any

from fastrnn import ops
from fastrnn.layers.arguments import as_floats
from fastrnn.layers.checks import flag
from fastrnn.layers.input_spec import InputSpec
from fastrnn.layers.layer import Layer
from fastrnn.tape import Tensor

_FORMATS = ("channels_last", "channels_first")


class _Pooling(Layer):
    """What pooling over all steps has in common."""

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        if data_format is not None and data_format not in _FORMATS:
            raise ValueError(
                f"data_format: expected one of {', '.join(_FORMATS)}, got {data_format!r}"
            )
        self.data_format = data_format or "channels_last"
        self.keepdims = flag("keepdims", keepdims)
        self.input_spec = InputSpec(ndim=3)
        self.built = True

    @property
    def _axis(self) -> int:
        return 1 if self.data_format == "channels_last" else 2

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape without the steps, or with one."""
        kept = (1,) if self.keepdims else ()
        lengths = tuple(input_shape)
        return (*lengths[: self._axis], *kept, *lengths[self._axis + 1 :])


class GlobalAveragePooling1D(_Pooling):
    """The mean over all steps that are not masked, of (B, T, I).

    Parameters
    ----------
    data_format : str
        "channels_last", or "channels_first" for (B, I, T).
    keepdims : bool
        Keep the axis of steps, of length 1.
    """

    supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        """Return the mean (B, I); NaN where all steps are masked."""
        x = as_floats(inputs, self.dtype)
        if mask is None:
            return ops.mean(x, axis=self._axis, keepdims=self.keepdims)
        if mask.shape != (x.shape[0], x.shape[self._axis]):
            raise ValueError(
                f"{self.name}: expected a mask of shape {(x.shape[0], x.shape[self._axis])}, "
                f"got {mask.shape}"
            )
        steps = mask[:, :, None] if self._axis == 1 else mask[:, None, :]
        total = ops.sum(
            ops.multiply(x, steps.astype(x.dtype)), axis=self._axis, keepdims=self.keepdims
        )
        count = steps.sum(axis=self._axis, keepdims=self.keepdims).astype(x.dtype)
        return ops.divide(total, count)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """Return None: there are no steps any more."""


class GlobalMaxPooling1D(_Pooling):
    """The largest number of each feature over all steps of (B, T, I), masked or not.

    Parameters
    ----------
    data_format : str
        "channels_last", or "channels_first" for (B, I, T).
    keepdims : bool
        Keep the axis of steps, of length 1.
    """

    def call(self, inputs: Any) -> Tensor:
        """Return the maximum (B, I)."""
        x = as_floats(inputs, self.dtype)
        return ops.max(x, axis=self._axis, keepdims=self.keepdims)
