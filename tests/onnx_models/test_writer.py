import numpy as np
import pytest
from tolerances import TORCH_FLOAT32_OUTPUT, assert_close

pytest.importorskip("onnx.helper")

from fastrnn.cells.activations import Clipped, HardSigmoid, Linear, Sigmoid, Tanh
from fastrnn.cells.gru import GRU
from fastrnn.cells.lstm import LSTM
from fastrnn.cells.mgu import MGU
from fastrnn.cells.protocol import gate_names
from fastrnn.cells.rnn import RNN
from fastrnn.functional import Direction, stack
from fastrnn.functional.weights import as_cell
from fastrnn.onnx import export_recurrent, load
from fastrnn.onnx.coupled_peephole import CoupledPeepholeLSTM

T, B, I, H = 4, 3, 5, 6


def direction(rng, cell, inputs, has_bias=True):
    """Random weights of a cell."""
    kind = type(as_cell(cell))
    counts = [len(gate_names(kind, part)) for part in ("INPUT", "RECURRENT", "BIAS")]

    def normal(*shape):
        return (0.4 * rng.standard_normal(shape)).astype(np.float32)

    W, R = normal(inputs, counts[0] * H), normal(H, counts[1] * H)
    return Direction(W, R, normal(counts[2] * H) if has_bias else None)


def same_as_onnx_runtime(cell, layers, path, x, merge="concat", lengths=None):
    """Export, run in both runtimes and compare all outputs with the engine's."""
    onnxruntime = pytest.importorskip("onnxruntime")
    export_recurrent(cell, layers, path, merge=merge, has_lengths=lengths is not None)
    feeds = {"x": x} if lengths is None else {"x": x, "lengths": lengths}
    y, states, _ = stack(cell, x, layers, merge=merge, lengths=lengths, training=False)
    desired = [y]
    for of_directions in states:
        desired += map(np.stack, zip(*of_directions, strict=True))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    model = load(path)
    names = [output.name for output in session.get_outputs()]
    assert model.output_names == names
    for actual in (session.run(None, feeds), model.run(feeds)):
        for name, a, d in zip(names, actual, desired, strict=True):
            assert_close(a, d, TORCH_FLOAT32_OUTPUT, name)


@pytest.mark.parametrize(
    "cell",
    ["rnn", "gru", "gru_reset_before", "lstm", "peephole", "cifg", CoupledPeepholeLSTM()],
    ids=lambda cell: type(as_cell(cell)).__name__,
)
def test_every_cell_that_onnx_has(rng, tmp_path, cell):
    x = rng.standard_normal((T, B, I)).astype(np.float32)
    layers = [direction(rng, cell, I)]
    same_as_onnx_runtime(cell, layers, tmp_path / "a.onnx", x)


@pytest.mark.parametrize("merge", ["concat", "sum", "average", "mul"])
def test_stacks_with_lengths_and_two_directions(rng, tmp_path, merge):
    x = rng.standard_normal((T, B, I)).astype(np.float32)
    lengths = np.array([2, T, 1], np.int32)
    inputs = 2 * H if merge == "concat" else H
    layers = [
        (direction(rng, "gru", I), direction(rng, "gru", I, has_bias=False)),
        direction(rng, "gru", inputs),
    ]
    same_as_onnx_runtime("gru", layers, tmp_path / "a.onnx", x, merge, lengths)


@pytest.mark.parametrize(
    "cell",
    [
        RNN(Linear()),
        GRU(HardSigmoid(0.25, 0.4), Tanh()),
        GRU(Clipped(Sigmoid(), 0.5), Clipped(Tanh(), 0.5)),
    ],
    ids=str,
)
def test_activations(rng, tmp_path, cell):
    x = rng.standard_normal((T, B, I)).astype(np.float32)
    same_as_onnx_runtime(cell, [direction(rng, cell, I)], tmp_path / "a.onnx", x)


def test_the_number_of_steps_and_sequences_is_free(rng, tmp_path):
    path = tmp_path / "a.onnx"
    export_recurrent("lstm", [direction(rng, "lstm", I)], path)
    model = load(path)
    for shape in ((1, 1, I), (7, 2, I)):
        y, h, c = model.run({"x": np.ones(shape, np.float32)})
        assert y.shape == (*shape[:2], H)
        assert h.shape == c.shape == (1, shape[1], H)
        np.testing.assert_array_equal(y[-1], h[0])


def test_what_onnx_does_not_have_is_refused(rng, tmp_path):
    path = tmp_path / "a.onnx"
    one, wide = direction(rng, "lstm", I), direction(rng, "lstm", I + 1)
    for arguments, options, message in (
        ((MGU(), [direction(rng, "mgu", I)]), {}, "MGU"),
        (("lstm", []), {}, "at least one layer"),
        (("lstm", [one]), {"merge": "none"}, "merge: expected concat"),
        (("lstm", [(one, wide)]), {}, "one shape"),
        (("lstm", [(one, one, one)]), {}, "one or two directions"),
        (("lstm", [one._replace(b=np.ones(3, np.float32))]), {}, "b: expected"),
        ((LSTM(Clipped(Sigmoid(), 1.0)), [one]), {}, "alike"),
    ):
        with pytest.raises(ValueError, match=message):
            export_recurrent(*arguments, path, **options)
        assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_nothing(rng, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    with pytest.raises(OSError, match="folder"):
        export_recurrent("lstm", [direction(rng, "lstm", I)], tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    path = tmp_path / "no folder" / "model.onnx"
    with pytest.raises(FileNotFoundError) as raised:
        export_recurrent("lstm", [direction(rng, "lstm", I)], path)
    assert raised.value.filename == str(path)
