"""The onnx package's interface to whatever runs models: `onnx.backend.base`.

Its functions are the module's too, as users of other backends expect them:
`fastrnn.onnx.backend.prepare(model).run([x])`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper
from onnx.backend import base
from onnx.defs import onnx_opset_version

from fastrnn.onnx.graph import OPSETS
from fastrnn.onnx.model import Model, load

Array = NDArray[Any]


class Prepared(base.BackendRep):
    """A model that is ready to run; see `Backend.prepare`."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Array, ...]:
        """Compute the model.

        Parameters
        ----------
        inputs : sequence or mapping of arrays
            In the order of the model's inputs, or by their names; a single array for one input.

        Returns
        -------
        tuple of arrays
            The model's outputs.

        Raises
        ------
        ValueError
            As `Model.run`; and if there are options.
        """
        if kwargs:
            raise ValueError(f"run: expected no options, got {', '.join(kwargs)}")
        if isinstance(inputs, np.ndarray):
            inputs = [inputs]
        if not isinstance(inputs, Mapping):
            names = self.model.input_names
            if len(inputs) != len(names):
                raise ValueError(f"inputs: expected {len(names)} arrays, got {len(inputs)}")
            inputs = dict(zip(names, inputs, strict=True))
        return tuple(self.model.run(inputs))


class Backend(base.Backend):
    """Runs models on fastrnn's engine, on CPUs."""

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Return whether all of the model's operators are supported."""
        try:
            load(model)
        except ValueError:
            return False
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> Prepared:
        """Return the model, ready to run.

        Raises
        ------
        ValueError
            As `fastrnn.onnx.load`; and if the device is no CPU.
        """
        if not cls.supports_device(device):
            raise ValueError(f"device: expected 'CPU', got {device!r}")
        return Prepared(load(model, **kwargs))

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Array, ...]:
        """Compute one node.

        Parameters
        ----------
        node : NodeProto
            Of the opset `opset_version`, if that is among `kwargs`.
        inputs : sequence or mapping of arrays
            Those of the node that it names, in order or by name.
        outputs_info
            Not needed.

        Returns
        -------
        tuple of arrays
            The outputs that the node names.

        Raises
        ------
        ValueError
            As `prepare`.
        """
        opset = kwargs.pop("opset_version", min(onnx_opset_version(), OPSETS[-1]))
        names = list(dict.fromkeys(filter(None, node.input)))
        if isinstance(inputs, Mapping):
            inputs = [inputs[name] for name in names]
        arrays = [np.asarray(array) for array in inputs]
        values = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in zip(names, arrays, strict=True)
        ]
        made = [
            helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
            for name in node.output
            if name
        ]
        graph = helper.make_graph([node], "node", values, made)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        return cls.prepare(model, device, **kwargs).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Return whether the device is a CPU."""
        return device.partition(":")[0] == "CPU"


is_compatible = Backend.is_compatible
prepare = Backend.prepare
run_model = Backend.run_model
run_node = Backend.run_node
supports_device = Backend.supports_device
