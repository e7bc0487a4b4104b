"""Whatever is given wrong is refused before any kernel runs, and the message names it."""

import numpy as np
import pytest
from structures import STRUCTURES

from fastrnn import functional
from fastrnn.cells import CELLS
from fastrnn.cells.protocol import gate_names
from fastrnn.kernels.cpu.task import Task

T, B, I, H, V, O = 3, 4, 5, 6, 7, 8


@pytest.fixture(params=STRUCTURES)
def cell(request):
    return request.param


def numbers(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


@pytest.fixture
def no_kernel(monkeypatch):
    """A kernel that runs fails the test."""

    def fail(self, cell, args, workers):
        raise AssertionError(f"kernel {self.__name__} ran")

    monkeypatch.setattr(Task, "__call__", fail)


def rnn_arguments(cell):
    inputs, recurrent, biases = (
        len(gate_names(CELLS[cell], part)) * H for part in ("INPUT", "RECURRENT", "BIAS")
    )
    return {
        "cell": cell,
        "x": numbers(T, B, I),
        "W": numbers(I, inputs),
        "R": numbers(H, recurrent) if recurrent else None,
        "b": numbers(biases),
        "state": tuple(numbers(B, H) for _ in CELLS[cell].STATES),
        "lengths": np.full(B, T),
    }


ARRAY_MISTAKES = {
    "another dtype": lambda a: a.astype(np.float16),
    "complex": lambda a: a.astype(np.complex64),
    "foreign byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "objects": lambda a: a.astype(object),
    "text": lambda a: a.astype(str),
    "one axis more": lambda a: a[None],
    "one axis less": lambda a: a[0],
    "longer": lambda a: np.concatenate([a, a], -1),
    "empty": lambda a: a[..., :0],
    "nothing like an array": lambda a: "weights",
    "a dictionary": lambda a: {},
    "ragged": lambda a: [[1.0], [1.0, 2.0]],
}


@pytest.mark.parametrize("mistake", ARRAY_MISTAKES)
@pytest.mark.parametrize("name", ["x", "W", "R", "b"])
def test_rnn_refuses_wrong_arrays(cell, name, mistake, no_kernel):
    arguments = rnn_arguments(cell)
    if arguments[name] is None:
        arguments[name] = numbers(H, H)  # R, which this cell has not
    arguments[name] = ARRAY_MISTAKES[mistake](arguments[name])
    # The sizes H and I come from R and W: another R makes W the odd one out.
    names = {"R": "[RW]", "W": "[Wxb]"}.get(name, name)
    with pytest.raises(ValueError, match=rf"^{names}: expected .*got ") as caught:
        functional.rnn(**arguments)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["x", "W", "b"])
def test_rnn_refuses_mixed_dtypes(cell, name, no_kernel):
    arguments = rnn_arguments(cell)
    arguments[name] = arguments[name].astype(np.float64)
    with pytest.raises(TypeError, match=r"^[xWb]: expected float(32|64) as [RW], got float"):
        functional.rnn(**arguments)


@pytest.mark.parametrize("mistake", ARRAY_MISTAKES)
def test_rnn_refuses_wrong_states(cell, mistake, no_kernel):
    arguments = rnn_arguments(cell)
    for n in range(len(arguments["state"])):
        state = list(arguments["state"])
        state[n] = ARRAY_MISTAKES[mistake](state[n])
        with pytest.raises(ValueError, match=rf"^state\[{n}\]: expected \(4, 6\) .*got "):
            functional.rnn(**arguments | {"state": tuple(state)})
        state[n] = numbers(B, H, dtype=np.float64)
        with pytest.raises(TypeError, match=rf"^state\[{n}\]: expected float32"):
            functional.rnn(**arguments | {"state": tuple(state)})


def test_rnn_refuses_another_number_of_states(cell, no_kernel):
    arguments = rnn_arguments(cell)
    for state in ((), (*arguments["state"], None), numbers(B, H), 7, {}):
        with pytest.raises(ValueError, match=r"^state: expected \d arrays? \(h.*got "):
            functional.rnn(**arguments | {"state": state})


@pytest.mark.parametrize(
    "lengths",
    [
        [T, T, T, T + 1], [T, T, T, -1], [T] * 3, [T] * 5, T, [[T] * B], [1.0] * B,
        [True] * B, ["1"] * B, [None] * B, [[1], [1, 2]], np.array([2**63] * B, np.uint64),
    ],
    ids=str,
)  # fmt: skip
def test_rnn_refuses_wrong_lengths(cell, lengths, no_kernel):
    arguments = rnn_arguments(cell)
    with pytest.raises(ValueError, match=r"^lengths: expected .*got "):
        functional.rnn(**arguments | {"lengths": lengths})


@pytest.mark.parametrize(
    ("wrong", "error"),
    [("gnu", ValueError), (None, TypeError), (3, TypeError), (CELLS["lstm"], TypeError)],
    ids=str,
)
def test_rnn_refuses_what_is_no_cell(wrong, error, no_kernel):
    arguments = rnn_arguments("lstm")
    with pytest.raises(error, match=r"^cell: expected .*got "):
        functional.rnn(**arguments | {"cell": wrong})


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.full((T, B), V), rf"^x\.ids: expected indices in 0\.\.{V - 1}, got {V}"),
        (np.full((T, B), -1), r"^x\.ids: expected indices .*got -1"),
        (np.zeros((T, B, 1), int), r"^x\.ids: expected \(T, B\) integers, got "),
        (np.zeros(T, int), r"^x\.ids: expected \(T, B\) integers, got "),
        (np.zeros((0, B), int), r"^x\.ids: expected \(T, B\) integers, got "),
        (np.zeros((T, B)), r"^x\.ids: expected \(T, B\) integers, got .*float64"),
        ([[1], [1, 2]], r"^x\.ids: expected .*got "),
    ],
)
def test_rnn_refuses_wrong_ids(cell, ids, message, no_kernel):
    embedded = functional.Embedded(ids, numbers(V, I))
    with pytest.raises(ValueError, match=message):
        functional.rnn(**rnn_arguments(cell) | {"x": embedded})


@pytest.mark.parametrize("mistake", ARRAY_MISTAKES)
def test_rnn_refuses_wrong_tables(cell, mistake, no_kernel):
    embedded = functional.Embedded(np.zeros((T, B), int), ARRAY_MISTAKES[mistake](numbers(V, I)))
    with pytest.raises(ValueError, match=r"^x\.table: expected \(vocabulary, 5\) .*got "):
        functional.rnn(**rnn_arguments(cell) | {"x": embedded})


@pytest.mark.parametrize("mistake", ARRAY_MISTAKES)
def test_rnn_backward_refuses_wrong_cotangents(cell, mistake, monkeypatch):
    arguments = rnn_arguments(cell)
    y, state, backward = functional.rnn(**arguments)
    monkeypatch.setattr(Task, "__call__", None)
    wrong = ARRAY_MISTAKES[mistake]
    with pytest.raises(ValueError, match=r"^dy: expected \(3, 4, 6\) .*got "):
        backward(wrong(numbers(T, B, H)))
    for n in range(len(state)):
        dstate = [None] * len(state)
        dstate[n] = wrong(numbers(B, H))
        with pytest.raises(ValueError, match=rf"^dstate\[{n}\]: expected \(4, 6\) .*got "):
            backward(None, tuple(dstate))
    with pytest.raises(ValueError, match="^dstate: expected"):
        backward(None, (None,) * (len(state) + 1))
    with pytest.raises(TypeError, match="^dy: expected float32 as [RW], got float64"):
        backward(numbers(T, B, H, dtype=np.float64))


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        (name, mistake)
        for name in ("x", "W", "b")
        for mistake in ARRAY_MISTAKES
        if not (name == "x" and "axis" in mistake)  # x has any number of axes
    ],
)
def test_linear_refuses_wrong_arrays(name, mistake, no_kernel):
    arguments = {"x": numbers(T, I), "W": numbers(I, O), "b": numbers(O)}
    arguments[name] = ARRAY_MISTAKES[mistake](arguments[name])
    names = "[Wb]" if name == "W" else name
    with pytest.raises(ValueError, match=rf"^{names}: expected .*got "):
        functional.linear(**arguments)
    with pytest.raises(ValueError, match=rf"^{names}: expected .*got "):
        functional.cross_entropy(**arguments, targets=np.zeros(T, int))


@pytest.mark.parametrize("name", ["x", "b"])
def test_linear_refuses_mixed_dtypes(name, no_kernel):
    arguments = {"x": numbers(T, I), "W": numbers(I, O), "b": numbers(O)}
    arguments[name] = arguments[name].astype(np.float64)
    with pytest.raises(TypeError, match=rf"^{name}: expected float32 as W, got float64"):
        functional.linear(**arguments)
    with pytest.raises(TypeError, match=rf"^{name}: expected float32 as W, got float64"):
        functional.cross_entropy(**arguments, targets=np.zeros(T, int))


@pytest.mark.parametrize("mistake", ARRAY_MISTAKES)
def test_linear_backward_refuses_wrong_cotangents(mistake, monkeypatch):
    _, backward = functional.linear(numbers(T, I), numbers(I, O))
    monkeypatch.setattr(Task, "__call__", None)
    with pytest.raises(ValueError, match=r"^dy: expected \(3, 8\) .*got "):
        backward(ARRAY_MISTAKES[mistake](numbers(T, O)))
    with pytest.raises(TypeError, match="^dy: expected float32 as x, got float64"):
        backward(numbers(T, O, dtype=np.float64))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([0, 1, O], rf"^targets: expected indices in 0\.\.{O - 1}, got {O}"),
        ([0, 1, -1], r"^targets: expected indices .*got -1"),
        ([0, 1], r"^targets: expected \(3,\) integers, got \(2,\)"),
        ([[0], [1], [2]], r"^targets: expected \(3,\) integers, got \(3, 1\)"),
        ([0.0, 1.0, 2.0], r"^targets: expected \(3,\) integers, got .*float64"),
        (["a", "b", "c"], r"^targets: expected \(3,\) integers, got "),
        ([[0], [1, 2]], r"^targets: expected .*got "),
        (None, r"^targets: expected \(3,\) integers, got "),
    ],
)
def test_cross_entropy_refuses_wrong_targets(targets, message, no_kernel):
    with pytest.raises(ValueError, match=message):
        functional.cross_entropy(numbers(T, I), numbers(I, O), None, targets)


@pytest.mark.parametrize(
    "weights",
    [
        [1.0, 1.0], [[1.0], [1.0], [1.0]], [1.0, -1.0, 1.0], [0.0] * 3, [np.nan, 1.0, 1.0],
        [np.inf, 1.0, 1.0], ["1"] * 3, [1j] * 3, [[1], [1, 2]],
    ],
    ids=str,
)  # fmt: skip
def test_cross_entropy_refuses_wrong_weights(weights, no_kernel):
    with pytest.raises(ValueError, match=r"^weights: expected .*(got|not all)"):
        functional.cross_entropy(
            numbers(T, I), numbers(I, O), None, np.zeros(T, int), weights=weights
        )


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([0, V], rf"^ids: expected .*0\.\.{V - 1}.*got {V}"),
        ([-1, 0], r"^ids: expected .*got -1"),
        ([0.5], "^ids: expected .*got .*float64"),
        (["a"], "^ids: expected .*got "),
        ([[1], [1, 2]], "^ids: expected .*got "),
    ],
)
def test_embedding_refuses_wrong_ids(ids, message, no_kernel):
    with pytest.raises(ValueError, match=message):
        functional.embedding(ids, numbers(V, I))
    with pytest.raises(ValueError, match=message):
        functional.used_rows(ids, V)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("V", [1000, 70_000])
def test_ids_below_zero_are_refused_where_the_table_is_beyond_their_dtype(dtype, V, no_kernel):
    ids = np.array([[3, -1]], dtype)
    table = np.zeros((V, I), np.float32)
    embedded = rnn_arguments("rnn") | {"x": functional.Embedded(ids, table)}
    for call in (
        lambda: functional.used_rows(ids, V),
        lambda: functional.embedding(ids, table),
        lambda: functional.rnn(**embedded),
        lambda: functional.cross_entropy(numbers(2, I), table.T, None, ids[0]),
        lambda: functional.softmax_cross_entropy(numbers(2, V), ids[0]),
    ):
        with pytest.raises(ValueError, match=r"expected .*got -1"):
            call()


@pytest.mark.parametrize("mistake", [name for name in ARRAY_MISTAKES if name != "longer"])
def test_embedding_refuses_wrong_tables(mistake, no_kernel):
    with pytest.raises(ValueError, match="^E: expected .*got "):
        functional.embedding([0, 1], ARRAY_MISTAKES[mistake](numbers(V, I)))


@pytest.mark.parametrize("mistake", ARRAY_MISTAKES)
def test_embedding_backward_refuses_wrong_cotangents(mistake, monkeypatch):
    _, backward = functional.embedding([0, 1, 1], numbers(V, I))
    monkeypatch.setattr(Task, "__call__", None)
    with pytest.raises(ValueError, match=r"^dy: expected \(3, 5\) .*got "):
        backward(ARRAY_MISTAKES[mistake](numbers(3, I)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": numbers(3, dtype=np.float16)}, "^x: expected .*got .*float16"),
        ({"x": [[1.0], [1.0, 2.0]]}, "^x: expected .*got "),
        ({"x": "text"}, "^x: expected .*got "),
        ({"rate": 1.0}, "^rate: expected .*got 1.0"),
        ({"rate": -0.1}, "^rate: expected .*got -0.1"),
        ({"rate": np.nan}, "^rate: expected .*got nan"),
        ({"rate": "half"}, "^rate: expected .*got 'half'"),
        ({"rate": None}, "^rate: expected .*got None"),
        ({"key": -1}, "^key: expected .*got -1"),
        ({"key": 2**64}, "^key: expected .*got"),
        ({"key": 0.5}, "^key: expected .*got 0.5"),
        ({"key": (1, "a")}, "^key: expected .*got"),
    ],
    ids=str,
)
def test_dropout_refuses_wrong_arguments(change, message, no_kernel):
    with pytest.raises(ValueError, match=message):
        functional.dropout(**{"x": numbers(3), "rate": 0.5, "key": 1} | change)
