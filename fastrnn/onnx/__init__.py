"""ONNX models with recurrent layers: run them on fastrnn's engine, and write them.

`load` reads a model, `Model.run` computes it and `Model.to_model` makes one of it that can be
trained; `export` writes a fastrnn model, and `export_recurrent` layers of `fastrnn.functional`.
`fastrnn.onnx.backend` is the interface of the onnx package's own tests.  All of this needs the
onnx package: `pip install fastrnn[onnx]`.
"""

from __future__ import annotations

try:
    import onnx as _onnx  # noqa: F401
except ImportError as error:
    raise ImportError(
        "fastrnn.onnx: the onnx package is missing; pip install fastrnn[onnx]"
    ) from error

from fastrnn.onnx.export import export
from fastrnn.onnx.model import Model, load
from fastrnn.onnx.writer import export_recurrent

__all__ = ["Model", "export", "export_recurrent", "load"]
