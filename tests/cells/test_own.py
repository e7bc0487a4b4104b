"""Cells of one's own: derived gradients, what is kept for them, errors, and compiled runs."""

import ast
import inspect
import math
import pickle
import textwrap
from typing import ClassVar

import numpy as np
import pytest
from functional.problems import assert_results_close, random_problem, run
from numeric import gradient
from tolerances import FLOAT32_OUTPUT, FLOAT64_OUTPUT, NUMERIC_GRADIENT, assert_close

import fastrnn
from fastrnn import functional
from fastrnn.cells import CELLS
from fastrnn.cells.formula import FUNCTIONS
from fastrnn.cells.own import cell
from fastrnn.simd import mathematics
from fastrnn.simd.mathematics import (
    exp,
    log,
    logsigmoid,
    maximum,
    minimum,
    sigmoid,
    tanh,
    where_less,
)

LSTM = CELLS["lstm"]


@cell
class MyLSTM:
    """The standard LSTM, spelled by a user."""

    GATES = ("i", "f", "g", "o")
    STATES = ("h", "c")

    def step(self, a, state):
        i, f, g, o = a
        _, c = state
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c


@cell
class Peephole:
    GATES = ("i", "f", "g", "o", "p_i", "p_f", "p_o")
    INPUT = RECURRENT = ("i", "f", "g", "o")
    STATES = ("h", "c")

    def step(self, a, state):
        i, f, g, o, p_i, p_f, p_o = a
        _, c = state
        i, f = sigmoid(i + p_i * c), sigmoid(f + p_f * c)
        c = f * c + i * tanh(g)
        return sigmoid(o + p_o * c) * tanh(c), c


@cell
class MyGRU:
    GATES = ("n_x", "r", "z", "n_h")
    INPUT = ("r", "z", "n_x")
    RECURRENT = ("r", "z", "n_h")
    BIAS = ("r", "z", "n_x", "n_h")
    STATES = ("h",)

    def step(self, a, state):
        n_x, r, z, n_h = a
        (h,) = state
        r, z = sigmoid(r), sigmoid(z)
        return ((1 - z) * tanh(n_x + r * n_h) + z * h,)


@cell
class Independent:
    GATES = ("n", "u")
    INPUT = ("n",)
    RECURRENT = ()
    STATES = ("h",)

    def step(self, a, state):
        n, u = a
        (h,) = state
        return (maximum(n + u * h, 0.0),)


@cell
class SLSTM:
    GATES = ("i", "f", "g", "o")
    STATES = ("h", "c", "n", "m")

    def step(self, a, state):
        i, f, g, o = a
        _, c, n, m = state
        u = logsigmoid(f) + m
        m = maximum(u, i)
        i, f = exp(i - m), exp(u - m)
        c, n = f * c + i * tanh(g), f * n + i
        return sigmoid(o) * c / n, c, n, m


@cell
class Zoneout:
    GATES = ("n",)
    STATES = ("h",)
    keep: float
    scale: float = 2

    def step(self, a, state):
        return (self.keep * state[0] + (1 - self.keep) / self.scale * tanh(a[0] * self.scale),)


@cell
class Powers:
    GATES = ("n", "k")
    STATES = ("h", "c")

    def step(self, a, state):
        n, k = a
        h, c = state
        h_new = n**2 - 3 * k**3 + (1 + n**2) ** -1 + h**1 * c**0 + n ** np.int64(2) * 2.0
        return h_new, (1 + k**4) ** 0.5 - (2 + h**2) ** -1.5 - k**5 / 7


@cell
class Normaliser:
    GATES = ("i", "g")
    STATES = ("h", "n")

    def step(self, a, state):
        i, g = a
        h, n = state
        new = log(exp(i) + exp(n))
        share = exp(i - new)
        return share * tanh(g) + exp(n - new) * h, new


@cell
class Shared:
    """One subexpression in many places, and in another order."""

    GATES = ("n", "k")
    STATES = ("h", "c")

    def step(self, a, state):
        n, k = a
        h, c = state
        both = tanh(n * k)
        return both * (c + both) + tanh(k * n) * h, (h + n * k) * -both - (-(k * n))


@cell
class Passing:
    """States that stay, change places and are constant; a gate too many, and one used twice."""

    GATES = ("n", "unused", "k")
    STATES = ("h", "c", "zero", "one", "kept")

    def step(self, a, state):
        n, _, _ = a
        h, c, _, _, kept = state
        return n * sigmoid(n) + c, h, 0, 1.0, kept


@cell
class Scalars:
    """Constants of the cell where functions want vectors."""

    GATES = ("n",)
    STATES = ("h", "c")
    low: float = -0.5
    high: float = 0.5

    def step(self, a, state):
        (n,) = a
        h, c = state
        n = min(max(self.low, n), self.high) + tanh(self.low) * h + minimum(self.high, n)
        width = self.high - self.low
        return n, where_less(self.low, c, self.high, n * width) + max(self.low, self.high) * c


@cell
class Clashing:
    """Names that meet in the derived source."""

    GATES = ("prev", "h", "a", "t1", "tanh", "d")
    STATES = ("h", "a", "dh", "ef")
    constant: float = 0.5

    def step(self, a, state):
        prev, x, y, t1, z, d = a
        h, a, dh, ef = state
        shared = prev * x + y
        return (
            tanh(shared) * h + tanh(a),
            tanh(dh * t1) * z + shared**3,
            sigmoid(ef) * tanh(d) * a + tanh(ef),
            dh * ef * self.constant,
        )


THIRD = np.float64(1) / 3
NUMBERS = np.arange(3.0)


def squashed(x):
    return scaled(x, by=0.5) / (1 + abs(x))


def scaled(x, by=1.0, function=np.tanh):
    return by * function(x) if by else scaled(x)


@cell
class Roundabout:
    """Functions reached over modules, helpers, methods, defaults and builtins."""

    GATES = ("n", "k")
    STATES = ("h", "c")
    POWER = 2
    rate: "float" = 0.25

    def step(self, a, state):
        n, k = a
        h, c = state
        parts = [f(x) for f, x in ((squashed, n), (lambda x: math.exp(0.1 * x), k))]
        h_new = sum(parts) + self.squared(h) + fastrnn.simd.mathematics.sigmoid(c)
        c_new = self.rate * np.float64(2.0) * self.halved(c) + mathematics.tanh(x=k) + self.twice
        return [h_new, +c_new]

    def squared(self, x):
        return math.sqrt(1 + x**self.POWER) + max(1, 2) + np.log(3.0) * THIRD + NUMBERS[2]

    @staticmethod
    def halved(x):
        return np.maximum(x, -10) / np.int32(2) + math.fabs(x)

    @property
    def twice(self):
        return 2 * self.rate


OWN = [
    MyLSTM(), Peephole(), MyGRU(), Independent(), SLSTM(), Zoneout(0.3), Powers(), Normaliser(),
    Shared(), Passing(), Scalars(), Clashing(), Roundabout(),
]  # fmt: skip


def name_of(own):
    return type(own).__name__


def lists(*arrays):
    return [tuple(map(float, array)) for array in arrays]


def assert_gradients_are_numeric(own, rng):
    """Compare backward with differences of `step`, on Python floats."""
    G, S = len(own.GATES), len(own.STATES)
    for _ in range(5):
        a, before, dstate = (rng.standard_normal(n) for n in (G, S, S))
        before[1:] = np.abs(before[1:])  # a normaliser is positive

        def objective(a=a, before=before, dstate=dstate):
            return float(np.dot(dstate, own.step(*lists(a, before))))

        saved, after = own.forward(*lists(a, before))
        assert len(saved) == G
        assert_close(np.array(after), np.array(own.step(*lists(a, before))), NUMERIC_GRADIENT)
        da, dold = own.backward(saved, *lists(before, after, dstate))
        assert_close(np.array(da), gradient(objective, a), NUMERIC_GRADIENT, "da")
        assert_close(np.array(dold), gradient(objective, before), NUMERIC_GRADIENT, "dstate")


@pytest.mark.parametrize("own", OWN, ids=name_of)
def test_derived_gradients_are_numeric(own, rng):
    assert_gradients_are_numeric(own, rng)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_of_every_function_are_numeric(name, rng):
    function = FUNCTIONS[name].function
    arity = len(inspect.signature(function).parameters)

    @cell
    class One:
        GATES = ("n", "k", "l")
        STATES = ("h",)

        def step(self, a, state):
            n, k, l = a
            (h,) = state
            first = abs(n) + 0.25 if name in ("log", "sqrt") else n
            swapped = (k, first, 0.5, h)
            return (
                function(*(first, k, l * n, h)[:arity])
                + (function(*swapped[:arity]) if arity > 1 else 0.0)
                + (function(*(first, 0.25, l, 1.0)[:arity]) if arity > 1 else 0.0),
            )

    assert_gradients_are_numeric(One(), rng)


def backward_by_hand(cell, saved, before, after, dstate):
    """The gradients of the LSTM as one writes them."""
    i, f, g, o = saved
    _, c_prev = before
    _, c = after
    dh, dc = dstate
    tanh_c = tanh(c)
    dc = dc + dh * o * (1.0 - tanh_c * tanh_c)
    da_o = dh * tanh_c * (o * (1.0 - o))
    da_i = dc * g * (i * (1.0 - i))
    da_f = dc * c_prev * (f * (1.0 - f))
    da_g = dc * i * (1.0 - g * g)
    return (da_i, da_f, da_g, da_o), (0.0, dc * f)


def operations(function):
    """The functions that a function calls, and how many operations it has, in its source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = sorted(node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call))
    return calls, sum(isinstance(node, ast.BinOp | ast.UnaryOp) for node in ast.walk(tree))


def test_lstm_computes_what_is_written_by_hand_and_no_more(rng):
    a, before, dstate = lists(*(rng.standard_normal(n) for n in (4, 2, 2)))
    saved, after = MyLSTM().forward(a, before)
    assert_close(np.hstack((saved, after)), np.hstack(LSTM().forward(a, before)), FLOAT64_OUTPUT)
    ours = MyLSTM().backward(saved, before, after, dstate)
    for backward in (backward_by_hand, LSTM.backward):
        wanted = backward(LSTM(), saved, before, after, dstate)
        assert_close(np.hstack(ours), np.hstack(wanted), FLOAT64_OUTPUT)
    assert operations(MyLSTM.forward)[0] == ["sigmoid"] * 3 + ["tanh"] * 2
    calls, arithmetic = operations(backward_by_hand)
    assert operations(MyLSTM.backward)[0] == calls
    assert operations(MyLSTM.backward)[1] <= arithmetic


@pytest.mark.parametrize(
    ("own", "functions"),
    [
        (Peephole, ["tanh"]),
        (MyGRU, []),  # its whole candidate is kept in the place of its half
        (Independent, ["where_less"]),
        (SLSTM, ["exp", "exp", "expm1", "where_less", "where_less"]),
        (Zoneout, []),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_backward_computes_again_only_what_cannot_be_kept(own, functions):
    assert operations(own.backward)[0] == functions


def test_gradient_of_a_rectifier_is_zero_at_its_edge_and_keeps_nan():
    own = Independent()
    for n, wanted in ((0.0, 0.0), (-1.0, 0.0), (1.0, 2.0), (math.nan, math.nan)):
        saved, after = own.forward((n, 0.0), (0.0,))
        (da, _), _ = own.backward(saved, (0.0,), after, (2.0,))
        assert da == wanted or (math.isnan(da) and math.isnan(wanted))


# The class


def test_cell_is_a_named_tuple_of_its_constants():
    own = Zoneout(0.5)
    assert isinstance(own, tuple)
    assert own == (0.5, 2.0) == Zoneout(keep=0.5, scale=2)
    assert repr(own) == "Zoneout(keep=0.5, scale=2.0)"
    assert own._replace(keep=0.25) == Zoneout(0.25)
    assert Zoneout._fields == ("keep", "scale")
    assert MyLSTM() == ()
    with pytest.raises(AttributeError):
        own.keep = 1.0
    with pytest.raises(TypeError, match="keep"):
        Zoneout()


def test_cell_keeps_what_the_class_says_about_itself():
    assert MyLSTM.__doc__ == "The standard LSTM, spelled by a user."
    assert (MyLSTM.__name__, MyLSTM.__module__) == ("MyLSTM", __name__)
    assert MyLSTM.forward.__qualname__ == "MyLSTM.forward"
    assert (MyLSTM.INPUT, MyLSTM.RECURRENT, MyLSTM.BIAS) == (MyLSTM.GATES,) * 3
    assert Independent.RECURRENT == ()
    assert MyGRU.BIAS == ("r", "z", "n_x", "n_h")
    assert Roundabout(1.0).twice == 2.0


def test_cell_survives_pickling():
    again = pickle.loads(pickle.dumps(Zoneout(0.5)))
    assert type(again) is Zoneout
    assert again == Zoneout(0.5)


def test_class_variables_are_no_constants():
    @cell
    class Annotated:
        GATES: ClassVar[tuple[str, ...]] = ("n",)
        STATES: tuple[str, ...] = ("h",)
        other: "ClassVar[float]" = 3.0
        unannotated = 2.0
        rate: float = 1.0

        def step(self, a, state):
            return (a[0] * self.rate * self.unannotated,)

    assert Annotated._fields == ("rate",)
    assert Annotated(0.5).forward((3.0,), (0.0,))[1] == (3.0,)


def test_step_may_be_inherited():
    class Base:
        GATES = ("n",)
        STATES = ("h",)
        rate: float = 0.5

        def step(self, a, state):
            return (self.rate * tanh(a[0]) + self.more * state[0],)

    @cell
    class Derived(Base):
        more: float = 0.25

    assert Derived._fields == ("rate", "more")
    assert Derived().forward((0.0,), (1.0,))[1] == (0.25,)


# Errors


def class_of(step=None, **attributes):
    def identity(self, a, state):
        return a[:1]

    defaults = {"GATES": ("n",), "STATES": ("h",), "step": step or identity}
    body = {"__module__": __name__, **defaults, **attributes}
    return type("Wrong", (), {k: v for k, v in body.items() if v is not None})


@pytest.mark.parametrize(
    ("attributes", "error", "message"),
    [
        ({"GATES": None}, TypeError, r"Wrong\.GATES: expected a tuple of names, got None"),
        ({"GATES": "n"}, TypeError, r"Wrong\.GATES: expected a tuple of names, got 'n'"),
        ({"GATES": ["n"]}, TypeError, r"Wrong\.GATES: expected a tuple of names"),
        ({"GATES": ("n", 1)}, TypeError, r"Wrong\.GATES: expected a tuple of names"),
        ({"GATES": ("n", "in")}, TypeError, r"Wrong\.GATES: expected a tuple of names"),
        ({"GATES": ("n x",)}, TypeError, r"Wrong\.GATES: expected a tuple of names"),
        ({"GATES": ()}, ValueError, r"Wrong\.GATES: expected at least one name"),
        ({"GATES": ("n", "n")}, ValueError, r"Wrong\.GATES: expected each name once"),
        ({"STATES": None}, TypeError, r"Wrong\.STATES: expected a tuple of names"),
        ({"STATES": ()}, ValueError, r"Wrong\.STATES: expected at least one name"),
        ({"STATES": ("h", "h")}, ValueError, r"Wrong\.STATES: expected each name once"),
        ({"INPUT": ("x",)}, ValueError, r"Wrong\.INPUT: 'x' is not among GATES \('n',\)"),
        ({"INPUT": ()}, ValueError, r"Wrong\.INPUT: expected at least one gate"),
        ({"RECURRENT": "n"}, TypeError, r"Wrong\.RECURRENT: expected a tuple of names"),
        ({"RECURRENT": ("n", "n")}, ValueError, r"Wrong\.RECURRENT: expected each name once"),
        (
            {"GATES": ("n", "k", "l"), "RECURRENT": ("l", "n")}, ValueError,
            r"Wrong\.RECURRENT: expected gates side by side",
        ),
        (
            {"GATES": ("n", "k"), "BIAS": ("n",)}, ValueError,
            r"Wrong\.BIAS: expected all of GATES",
        ),
        ({"INNER": ("n",)}, TypeError, r"Wrong\.INNER: a cell made of its step has none"),
        ({"backward": len}, TypeError, r"Wrong\.backward: a cell made of its step has none"),
        ({"__init__": dict.__init__}, TypeError, r"Wrong\.__init__: a cell made of its step"),
        ({"step": 3}, TypeError, r"Wrong\.step: expected a method step\(self, a, state\)"),
        (
            {"__annotations__": {"rate": str}}, TypeError,
            r"Wrong\.rate: expected a float, annotated as <class 'str'>",
        ),
        (
            {"__annotations__": {"rate": float}, "rate": "0.1"}, TypeError,
            r"Wrong\.rate: expected a float, got '0.1'",
        ),
        (
            {"__annotations__": {"rate": float}, "rate": True}, TypeError,
            r"Wrong\.rate: expected a float, got True",
        ),
        (
            {"__annotations__": {"rate": float, "more": float}, "rate": 1.0}, TypeError,
            r"Wrong\.more: without a default after one with a default",
        ),
        ({"__annotations__": {"_rate": float}}, ValueError, r"Wrong\._rate: not a name"),
        ({"__annotations__": {"step": float}}, ValueError, r"Wrong\.step: not a name"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_classes_are_refused(attributes, error, message):
    with pytest.raises(error, match=f"^{message}"):
        cell(class_of(**attributes))


@pytest.mark.parametrize("wrong", [3, "lstm", lambda a, state: a, LSTM, MyLSTM])
def test_what_is_no_plain_class_is_refused(wrong):
    with pytest.raises(TypeError, match="^cell: expected a plain class, got "):
        cell(wrong)


def branching(self, a, state):
    return (a[0] if a[0] > 0 else 0.0,)


MISTAKES = {
    "if": (branching, TypeError, r"cannot branch on the value.*where_less.*about a_n$"),
    "and": (lambda self, a, state: (a[0] and state[0],), TypeError, "cannot branch"),
    "==": (lambda self, a, state: (a[0] == 0,), TypeError, "cannot branch"),
    "numpy.where": (
        lambda self, a, state: (np.where(a[0] < 0, 0, 1),), TypeError, r"about a_n$",
    ),
    "float": (lambda self, a, state: (float(a[0]),), TypeError, "no number for a_n yet"),
    "int": (lambda self, a, state: (int(a[0] + 1),), TypeError, r"no number for a_n \+ 1.0 yet"),
    "math.cos": (
        lambda self, a, state: (math.cos(a[0]),), TypeError,
        "^cos: not among the functions that fastrnn can differentiate: sigmoid, tanh",
    ),
    "numpy.cos": (lambda self, a, state: (np.cos(a[0]),), TypeError, "^cos: not among"),
    "numpy.clip": (lambda self, a, state: (np.clip(a[0], 0, 1),), TypeError, "^clip: not among"),
    "too many arguments": (
        lambda self, a, state: (math.log(a[0], 2),), TypeError, r"^log\(x\): too many positional",
    ),
    "too few arguments": (
        lambda self, a, state: (where_less(a[0], 2),), TypeError,
        r"^where_less\(x, bound, yes, no\): missing a required argument: 'yes'",
    ),
    "a tuple as an argument": (
        lambda self, a, state: (maximum(a[0], (1,)),), TypeError, "^maximum: expected numbers",
    ),
    "**": (lambda self, a, state: (a[0] ** 0.3,), TypeError, r"exp\(power \* log\(x\)\)"),
    "** of a gate": (lambda self, a, state: (state[0] ** a[0],), TypeError, r"h_prev \*\* a_n"),
    "base of **": (lambda self, a, state: (2 ** a[0],), TypeError, r"^2 \*\* a_n: use exp"),
    "//": (lambda self, a, state: (a[0] // 2,), TypeError, "unsupported operand"),
    "complex": (lambda self, a, state: (a[0] * 1j,), TypeError, "unsupported operand"),
    "text": (lambda self, a, state: (a[0] + "1",), TypeError, "unsupported operand"),
    "one state": (
        lambda self, a, state: a[0], ValueError,
        r"^Wrong\.step: expected to return a tuple of 1 states \(h\), got a_n",
    ),
    "too many states": (
        lambda self, a, state: (a[0], a[0]), ValueError, r"^Wrong\.step: expected to return",
    ),
    "nothing": (lambda self, a, state: None, ValueError, r"^Wrong\.step: .*got None"),
    "no number as a state": (
        lambda self, a, state: ("h",), TypeError, r"^Wrong\.step: expected numbers as states, got",
    ),
    "an array as a state": (
        lambda self, a, state: (np.ones(3),), TypeError, r"^Wrong\.step: expected numbers",
    ),
    "memory": (
        lambda self, a, state: setattr(self, "kept", a), TypeError, "it cannot set self.kept",
    ),
    "an error of its own": (lambda self, a, state: (a[1],), IndexError, "out of range"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_wrong_formulas_are_refused(mistake):
    step, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        cell(class_of(step))


def test_functions_in_containers_are_refused():
    table = {"f": tanh}
    with pytest.raises(TypeError, match="no number for a_n yet.*super\\(\\) or a container"):
        cell(class_of(lambda self, a, state: (table["f"](a[0]),)))


def test_values_of_another_formula_are_refused():
    kept = []
    cell(class_of(lambda self, a, state: kept.append(a[0]) or a))
    with pytest.raises(ValueError, match="a_n belongs to another formula"):
        cell(class_of(lambda self, a, state: (a[0] + kept[0],)))


def test_error_points_to_the_line_of_the_formula():
    with pytest.raises(TypeError) as caught:
        cell(class_of(branching))
    lines = [str(entry.statement).strip() for entry in caught.traceback]
    assert any("if a[0] > 0 else 0.0" in line for line in lines)


def test_long_formula_is_abridged_in_errors():
    def doubling(self, a, state):
        x = a[0]
        for _ in range(100):
            x = x * x + state[0]
        return (x if x else 0.0,)

    with pytest.raises(TypeError, match=r"\.\.\. \+ h_prev") as caught:
        cell(class_of(doubling))
    assert len(str(caught.value)) < 400


def test_sources_of_classes_of_one_name_are_told_apart():
    first = cell(class_of(lambda self, a, state: (tanh(a[0]),)))
    second = cell(class_of(lambda self, a, state: (sigmoid(a[0]),)))
    assert "tanh(a_n)" in inspect.getsource(first.forward)
    assert "sigmoid(a_n)" in inspect.getsource(second.forward)


# Compiled


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lstm_runs_like_the_built_in_one(dtype, rng):
    problem = random_problem(rng, "lstm", 6, 9, 5, 35, dtype)
    options = {"lengths": [6, 3, 0, 6, 1, 5, 2, 4, 6], "reverse": True}
    for given in ({}, options):
        assert_results_close(run(MyLSTM(), problem, **given), run("lstm", problem, **given))


def layer(own, x, W, R, b, state):
    """The cell in plain Python: outputs and final states, in float64."""
    H = len(state[0][0])
    G = own.GATES
    columns = [W, R, b[None]]
    parts = [own.INPUT, own.RECURRENT, own.BIAS]
    y = np.empty((*x.shape[:2], H))
    state = [np.array(s) for s in state]
    for t, step in enumerate(x):
        for n, row in enumerate(step):
            operands = [row, state[0][n], np.ones(1)]
            a = np.zeros((len(G), H))
            for operand, matrix, part in zip(operands, columns, parts, strict=True):
                if part:
                    product = (operand @ matrix).reshape(len(part), H)
                    for gate, values in zip(part, product, strict=True):
                        a[G.index(gate)] += values
            for k in range(H):
                new = own.step(*lists(a[:, k], [s[n, k] for s in state]))
                for s, value in zip(state, new, strict=True):
                    s[n, k] = value
            y[t, n] = state[0][n]
    return y, state


@pytest.mark.parametrize(
    "own", [Scalars(-0.25, 0.75), Passing(), Independent(), Roundabout()], ids=name_of
)
def test_compiled_cell_is_its_step_and_its_gradients_are_numeric(own, rng):
    T, B, I, H = 3, 2, 2, 3
    inputs, recurrent, biases = (len(p) * H for p in (own.INPUT, own.RECURRENT, own.BIAS))
    x, W, b = (rng.standard_normal(shape) for shape in ((T, B, I), (I, inputs), biases))
    R = 0.5 * rng.standard_normal((H, recurrent)) if recurrent else None
    state = [rng.standard_normal((B, H)) for _ in own.STATES]
    dy = rng.standard_normal((T, B, H))
    dstate = tuple(rng.standard_normal((B, H)) for _ in own.STATES)

    def objective():
        y, final = layer(own, x, W, R, b, state)
        return np.vdot(dy, y) + sum(map(np.vdot, dstate, final))

    y, final, backward = functional.rnn(own, x, W, R, b, tuple(state))
    wanted_y, wanted_final = layer(own, x, W, R, b, state)
    assert_close(y, wanted_y, NUMERIC_GRADIENT, "y")
    for ours, wanted in zip(final, wanted_final, strict=True):
        assert_close(ours, wanted, NUMERIC_GRADIENT, "state")
    gradients = backward(dy, dstate)
    for name, values in {"x": x, "W": W, "R": R, "b": b}.items():
        if values is not None:
            assert_close(
                getattr(gradients, name), gradient(objective, values), NUMERIC_GRADIENT, name
            )
    for ours, values in zip(gradients.state, state, strict=True):
        assert_close(ours, gradient(objective, values), NUMERIC_GRADIENT, "dstate")


def test_formula_edited_under_the_same_name_runs_as_edited():
    x, W, R = (np.full(shape, 0.5, np.float32) for shape in ((1, 1, 1), (1, 1), (1, 1)))
    outputs = []
    for function in (tanh, lambda n: 2.0 * n):
        # What a notebook does when its cell is run again.
        own = cell(class_of(lambda self, a, state, function=function: (function(a[0]),)))
        outputs.append(functional.rnn(own(), x, W, R)[0][0, 0, 0])
    assert_close(outputs, [math.tanh(0.25), 0.5], FLOAT32_OUTPUT)
