"""Small ONNX files to test with."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


def file_of(nodes, inputs, outputs, constants=(), opset=17, **options):
    """Bytes of a model; inputs are arrays or (element type, shape), outputs are names."""
    values = []
    for name, value in dict(inputs).items():
        if isinstance(value, np.ndarray):
            value = helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        values.append(helper.make_tensor_value_info(name, *value))
    made = [onnx.ValueInfoProto(name=name) for name in outputs]
    tensors = [numpy_helper.from_array(a, name) for name, a in dict(constants).items()]
    graph = helper.make_graph(nodes, "graph", values, made, tensors)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, **{"ir_version": 8, **options})
    return model.SerializeToString()


def recurrent_file(op, feeds, constants, outputs=1, opset=14, **attributes):
    """Bytes of a model of one recurrent node; its inputs are those that either mapping has."""
    names = [n if n in feeds or n in constants else "" for n in INPUTS]
    while not names[-1]:
        names.pop()
    made = ["Y", "Y_h", "Y_c"][:outputs]
    node = helper.make_node(op, names, made, name="layer", **attributes)
    kind = helper.np_dtype_to_tensor_dtype(feeds["X"].dtype) if "X" in feeds else TensorProto.FLOAT
    content = file_of([node], feeds, made, constants, opset)
    model = onnx.load_model_from_string(content)
    for value in model.graph.output:
        value.type.tensor_type.elem_type = kind
    return model.SerializeToString()


def node_file(op, feeds, constants=(), outputs=1, opset=17, element_type=None, **attributes):
    """Bytes of a model of one node that takes the feeds, then the constants, in this order."""
    names = [*feeds, *dict(constants)]
    made = [f"y{n}" for n in range(outputs)]
    node = helper.make_node(op, names, made, name="node", **attributes)
    return file_of([node], feeds, made, constants, opset)
