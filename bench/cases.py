"""What is computed: named workloads, in groups, each with a cell and a pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

PASSES = ("forward", "training")

_ITEM_BYTES = {"float32": 4, "float64": 8}


class Cell(NamedTuple):
    """Columns of W and R and numbers in b, in hidden sizes."""

    W: int
    R: int
    b: int


# As in `fastrnn.functional.rnn`; "rnn" has tanh, "gru" resets after the product.
CELLS = {
    "lstm": Cell(4, 4, 4),
    "gru": Cell(3, 3, 4),
    "rnn": Cell(1, 1, 1),
    "peephole": Cell(4, 4, 7),
    "cifg": Cell(3, 3, 3),
    "gru_reset_before": Cell(3, 3, 3),
    "mgu": Cell(2, 2, 2),
    "indrnn": Cell(1, 0, 2),
    "slstm": Cell(4, 4, 4),
}

#: Those that every rival has.
USUAL_CELLS = ("lstm", "gru", "rnn")


class Case(NamedTuple):
    """A thing to compute, the same for every library.

    name, group     of the workload
    kind            "layer": recurrent layers on given sequences;
                    "stream": the same, one step a call, without the next ones being known;
                    "step": a training step of embedding, layers, softmax cross entropy and Adam
    pass_           "forward": with weights that do not change, packed beforehand where a library
                    can do so; "training": forward, and the gradients of everything
    T, B, I, H      time steps, sequences, input features (of the embedding), hidden units
    directions      2: each layer runs both ways
    lengths         "even": all T; "uniform": over 1..T; "lognormal": most are short
    vocabulary      of a "step"
    """

    name: str
    group: str
    kind: str
    cell: str
    pass_: str
    T: int
    B: int
    I: int
    H: int
    layers: int = 1
    directions: int = 1
    lengths: str = "even"
    dtype: str = "float32"
    vocabulary: int | None = None

    @property
    def outputs(self) -> int:
        """Features of a layer's output."""
        return self.directions * self.H

    @property
    def inputs(self) -> list[int]:
        """Input features of each layer."""
        return [self.I] + [self.outputs] * (self.layers - 1)

    def __str__(self) -> str:
        return f"{self.name} {self.cell} {self.pass_}"

    def to_json(self) -> dict[str, Any]:
        """Return the case as JSON values."""
        return {name.rstrip("_"): value for name, value in self._asdict().items()}

    def steps(self) -> NDArray[np.int64] | None:
        """Return the steps of each sequence (B,), or None where all have T."""
        rng = np.random.default_rng(1)
        match self.lengths:
            case "uniform":
                return rng.integers(1, self.T, self.B, np.int64, endpoint=True)
            case "lognormal":  # the median a third of T; one in thirty is cut at T
                drawn = np.rint(rng.lognormal(np.log(self.T / 3), 0.6, self.B))
                return np.clip(drawn, 1, self.T).astype(np.int64)
            case _:
                return None

    def rows(self) -> int:
        """Return the steps of all sequences together."""
        steps = self.steps()
        return self.T * self.B if steps is None else int(steps.sum())

    def operations(self) -> int:
        """Return the operations of the matrix products over the steps that there are."""
        cell = CELLS[self.cell]
        products = sum(self.outputs * (cell.W * inputs + cell.R * self.H) for inputs in self.inputs)
        products += self.outputs * (self.vocabulary or 0)
        return 2 * self.rows() * products * (3 if self.pass_ == "training" else 1)

    def bytes(self) -> int:
        """Return the memory traffic that cannot be avoided.

        Weights, input and output, and in training the gradients of all three, once each.
        """
        cell, vocabulary = CELLS[self.cell], self.vocabulary or 0
        numbers = sum(
            self.outputs * (cell.W * inputs + cell.R * self.H + cell.b) for inputs in self.inputs
        )
        numbers += vocabulary * (self.I + self.outputs + 1)
        if self.kind != "step":
            numbers += self.rows() * (self.I + self.outputs)
        return numbers * _ITEM_BYTES[self.dtype] * (2 if self.pass_ == "training" else 1)


def _layers(group: str, *shapes: tuple[int, int, int, int], **options: Any) -> list[Case]:
    """Return workloads of single layers, named by their shapes."""
    return [
        Case(f"{group}-{'x'.join(map(str, shape))}", group, "layer", "lstm", "forward", *shape)
        ._replace(**options)
        for shape in shapes
    ]  # fmt: skip


def _layer(group: str, name: str, *shape: int, **options: Any) -> Case:
    T, B, I, H = shape
    return Case(name, group, "layer", "lstm", "forward", T, B, I, H)._replace(**options)


def _stream(H: int) -> Case:
    return Case(f"stream-{H}", "stream", "stream", "lstm", "forward", 100, 1, H, H)


def _step(name: str, T: int, B: int, I: int, H: int, vocabulary: int) -> Case:
    return Case(
        name, "step", "step", "lstm", "training", T, B, I, H, layers=2, vocabulary=vocabulary
    )


# Cell and pass are those of the choice that is made among them, see `select`.
WORKLOADS: tuple[Case, ...] = (
    # What people know: reviews of 80 words, digits row by row, and the three language models of
    # W. Zaremba et al., Recurrent neural network regularization, 2014.
    _layer("known", "imdb", 80, 32, 128, 128),
    _layer("known", "mnist", 28, 128, 28, 128),
    _layer("known", "ptb-small", 20, 20, 200, 200, layers=2),
    _layer("known", "ptb-medium", 35, 20, 650, 650, layers=2),
    _layer("known", "ptb-large", 35, 20, 1500, 1500, layers=2),
    # One step a call.
    *map(_stream, (64, 128, 256, 512, 1024)),
    # Whole training steps.
    _step("step-characters", 64, 32, 64, 256, vocabulary=65),
    _step("step-ptb-small", 20, 20, 200, 200, vocabulary=10_000),
    _step("step-ptb-medium", 35, 20, 650, 650, vocabulary=10_000),
    _step("step-ptb-large", 35, 20, 1500, 1500, vocabulary=10_000),
    # One layer, all sequences of T steps.
    *_layers(
        "even",
        (80, 32, 128, 128),
        (80, 128, 100, 64),
        (28, 128, 28, 128),
        (35, 20, 200, 200),
        (35, 20, 650, 650),
        (50, 64, 256, 256),
        (100, 64, 512, 512),
        (50, 32, 1024, 1024),
        (100, 1, 128, 128),
        (100, 1, 512, 512),
        (200, 16, 64, 32),
    ),
    *_layers("single", (1, 1, 128, 128), (1, 1, 512, 512), (1000, 1, 32, 64)),
    *_layers("single", (100, 1, 256, 256), (100, 1, 1024, 1024)),
    *_layers("long", (10_000, 1, 32, 64), (10_000, 8, 32, 128)),
    *_layers("large", (50, 256, 1024, 1024), (128, 128, 512, 512), layers=2),
    *_layers("double", (80, 32, 128, 128), (100, 1, 128, 128), dtype="float64"),
    *_layers(
        "uniform",
        (80, 32, 128, 128),
        (80, 128, 100, 64),
        (50, 64, 256, 256),
        (100, 64, 512, 512),
        (200, 16, 64, 32),
        lengths="uniform",
    ),
    *_layers("lognormal", (80, 32, 128, 128), (400, 64, 64, 128), lengths="lognormal"),
    *_layers(
        "bidirectional",
        (80, 32, 128, 128),
        (28, 128, 28, 128),
        (35, 20, 200, 200),
        (50, 64, 256, 256),
        (100, 1, 128, 128),
        layers=2,
        directions=2,
    ),
)

GROUPS = tuple(dict.fromkeys(case.group for case in WORKLOADS))

#: What is compared if nothing is asked for, and with `--quick`.
USUAL = ("known", "stream", "step", "uniform", "bidirectional")
QUICK = ("imdb", "stream-128", "step-characters")


def select(names: Iterable[str], cells: Sequence[str], passes: Sequence[str]) -> list[Case]:
    """Return the cases of workloads and groups by name ("all" is every one), cells and passes.

    Raises
    ------
    ValueError
        For an unknown name, or where nothing is left.
    """
    known = {case.name for case in WORKLOADS} | {*GROUPS, "all"}
    wanted = set(names)
    for given, choices, what in (
        (wanted, known, "cases"), (cells, CELLS, "cells"), (passes, PASSES, "passes")
    ):  # fmt: skip
        for name in given:
            if name not in choices:
                raise ValueError(f"{what}: expected {', '.join(sorted(choices))}; got {name!r}")
    chosen = [
        case._replace(cell=cell, pass_=pass_)
        for case in WORKLOADS
        if wanted & {case.name, case.group, "all"}
        for cell in cells
        for pass_ in _passes_of(case)
        if pass_ in passes
    ]
    if not chosen:
        raise ValueError(f"passes: no {' or '.join(passes)} in {', '.join(sorted(wanted))}")
    return chosen


def _passes_of(case: Case) -> tuple[str, ...]:
    return PASSES if case.kind == "layer" else (case.pass_,)
