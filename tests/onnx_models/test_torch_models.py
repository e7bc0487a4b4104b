import io
import warnings

import numpy as np
import pytest
from tolerances import TORCH_FLOAT32_OUTPUT, assert_close

pytest.importorskip("onnx.helper")
pytest.importorskip("torch")

import torch

from fastrnn.onnx import load


class Tagger(torch.nn.Module):
    """Embedding, two bidirectional LSTM layers, a GRU, and two outputs."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(20, 6)
        self.lstm = torch.nn.LSTM(6, 5, 2, batch_first=True, bidirectional=True)
        self.gru = torch.nn.GRU(10, 4, batch_first=True)
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, ids):
        y, _ = self.lstm(self.embedding(ids))
        y, h = self.gru(y)
        return torch.softmax(self.linear(y), -1), h


class Classifier(torch.nn.Module):
    """Embedding, two LSTM layers, and a dense layer on the last step."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(20, 6)
        self.lstm = torch.nn.LSTM(6, 5, 2, batch_first=True)
        self.linear = torch.nn.Linear(5, 3)

    def forward(self, ids):
        y, _ = self.lstm(self.embedding(ids))
        return torch.sigmoid(self.linear(y[:, -1]))


def exported(module, ids, is_dynamic, opset):
    """A module as a loaded ONNX model."""
    axes = {"ids": {0: "batch", 1: "time"}} if is_dynamic else None
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter, and about batches of other sizes
        torch.onnx.export(
            module.eval(), (ids,), file, dynamo=False, opset_version=opset,
            input_names=["ids"], dynamic_axes=axes,
        )  # fmt: skip
    return load(file.getvalue())


class Packed(torch.nn.Module):
    """A bidirectional GRU over sequences of unequal lengths."""

    def __init__(self):
        super().__init__()
        self.gru = torch.nn.GRU(4, 5, bidirectional=True)

    def forward(self, x, lengths):
        rows = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, h = self.gru(rows)
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=len(x))
        return y, h


def test_exported_modules_run_on_unequal_lengths():
    torch.manual_seed(0)
    module, x = Packed(), torch.randn(6, 3, 4)
    lengths = torch.tensor([2, 6, 3])
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (x, lengths), file, dynamo=False, opset_version=17,
            input_names=["x", "lengths"],
        )  # fmt: skip
    feeds = {"x": x.numpy(), "lengths": lengths.numpy()}
    for actual, expected in zip(load(file.getvalue()).run(feeds), module(x, lengths), strict=True):
        assert_close(actual, expected.detach().numpy(), TORCH_FLOAT32_OUTPUT)


@pytest.mark.parametrize("opset", [18, 22])
def test_modules_of_the_exporter_by_tracing_bytecode_run(opset):
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    module, ids = Tagger(), torch.randint(0, 20, (3, 7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(), (ids,), dynamo=True, opset_version=opset, verbose=False
        )
    model = load(program.model_proto)
    (name,) = model.input_names
    for actual, expected in zip(model.run({name: ids.numpy()}), module(ids), strict=True):
        assert_close(actual, expected.detach().numpy(), TORCH_FLOAT32_OUTPUT)


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("is_dynamic", [False, True])
def test_exported_modules_run(is_dynamic, opset):
    torch.manual_seed(0)
    module, ids = Tagger(), torch.randint(0, 20, (3, 7))
    model = exported(module, ids, is_dynamic, opset)
    ids = torch.randint(0, 20, (2, 9)) if is_dynamic else ids
    desired = module(ids)
    for actual, expected in zip(model.run({"ids": ids.numpy()}), desired, strict=True):
        assert_close(actual, expected.detach().numpy(), TORCH_FLOAT32_OUTPUT)


@pytest.mark.parametrize("is_dynamic", [False, True])
def test_exported_modules_become_trainable(is_dynamic):
    torch.manual_seed(0)
    module, ids = Classifier(), torch.randint(0, 20, (3, 7))
    model = exported(module, ids, is_dynamic, 17).to_model()
    actual = np.asarray(model(ids.numpy()))
    assert_close(actual, module(ids).detach().numpy(), TORCH_FLOAT32_OUTPUT)
    assert model.count_params() == sum(
        p.numel() if "bias_hh" not in name else 0 for name, p in module.named_parameters()
    )
