"""Models from Keras and to Keras: its files, and its layers on our kernels.

`load(path)` reads a `.keras` file into a model of `fastrnn.models`, and `save(model, path)` writes
one; `load_weights` reads a `.weights.h5` file.  They need h5py, but no Keras.

`accelerate(model)` lets the recurrent layers of a model of Keras on its PyTorch backend compute on
our kernels; `restore(model)` undoes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastrnn.keras.file import load, load_weights, save

if TYPE_CHECKING:
    from fastrnn.keras.swap import accelerate, restore
    from fastrnn.torch.swap import Report

__all__ = ["Report", "accelerate", "load", "load_weights", "restore", "save"]


def __getattr__(name: str) -> Any:
    # What needs Keras and PyTorch is imported when it is asked for.
    if name in ("Report", "accelerate", "restore"):
        from fastrnn.keras import swap

        return getattr(swap, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
