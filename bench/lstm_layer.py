"""One LSTM layer against torch.nn.LSTM: forward only, and forward with all gradients.

    python bench/lstm_layer.py [--threads 2] [--all] [--json FILE]

Shapes are (T, B, I, H): time steps, batch, input features, hidden units.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import geometric_mean
from typing import Any, NamedTuple

import numpy as np
import timing
from numpy.typing import NDArray
from rivals.torch_lstm import TorchLSTM

from fastrnn import functional
from fastrnn.kernels.cpu import machine

Array = NDArray[np.float32]

# Errors of both sides in float32: sums over all rows and steps keep some hundred roundings.
TOLERANCE = 4e-5


class Shape(NamedTuple):
    """Time steps, batch, input features, hidden units."""

    T: int
    B: int
    I: int
    H: int

    @property
    def forward_operations(self) -> int:
        """Arithmetic operations of the products of one forward pass; training takes three."""
        return 2 * self.T * self.B * 4 * self.H * (self.I + self.H)


SHAPES = [
    Shape(80, 32, 128, 128),
    Shape(35, 20, 650, 650),
    Shape(50, 64, 256, 256),
    Shape(100, 64, 512, 512),
]
MORE_SHAPES = [
    Shape(80, 128, 100, 64),
    Shape(28, 128, 28, 128),
    Shape(35, 20, 200, 200),
    Shape(50, 32, 1024, 1024),
    Shape(100, 1, 128, 128),
    Shape(100, 1, 512, 512),
    Shape(200, 16, 64, 32),
]


class LSTM:
    """fastrnn's layer with given weights, with the verbs of its rivals."""

    def __init__(self, x: Array, dy: Array, W: Array, R: Array, b: Array) -> None:
        self._arguments = (x, W, R, b)
        self._dy = dy

    def forward(self) -> Array:
        """Return y (T, B, H), keeping nothing."""
        y: Array = functional.rnn("lstm", *self._arguments, training=False)[0]
        return y

    def train(self) -> dict[str, Array | None]:
        """Return y and the gradients of everything."""
        y, _, backward = functional.rnn("lstm", *self._arguments)
        d = backward(self._dy)
        return {"y": y, "dx": d.x, "dW": d.W, "dR": d.R, "db": d.b}


def make_pair(shape: Shape) -> tuple[LSTM, TorchLSTM]:
    """Return both layers with the same random weights and data."""
    T, B, I, H = shape
    rng = np.random.default_rng(0)

    def uniform(limit: float, *sizes: int) -> Array:
        return rng.uniform(-limit, limit, sizes).astype(np.float32)

    arguments = {
        "x": uniform(1.0, T, B, I),
        "dy": uniform(1.0, T, B, H),
        "W": uniform(H**-0.5, I, 4 * H),
        "R": uniform(H**-0.5, H, 4 * H),
        "b": uniform(H**-0.5, 4 * H),
    }
    return LSTM(**arguments), TorchLSTM(**arguments)


def check_pair(ours: LSTM, rival: TorchLSTM) -> None:
    """Raise WrongAnswerError unless both layers compute the same."""
    timing.check("y, forward only", ours.forward(), rival.forward(), TOLERANCE)
    desired = rival.train()
    for name, actual in ours.train().items():
        timing.check(name, actual, desired[name], TOLERANCE)


def compare(shape: Shape, rounds: int) -> list[dict[str, Any]]:
    """Return a row of figures for forward only and one for training."""
    ours, rival = make_pair(shape)
    check_pair(ours, rival)
    rows = []
    for pass_, operations, candidates in (
        ("forward", 1, {"ours": ours.forward, "torch": rival.forward}),
        ("training", 3, {"ours": ours.train, "torch": rival.train}),
    ):
        before = timing.measure_peak()
        times = timing.measure(candidates, rounds=rounds)
        peak = max(before, timing.measure_peak())
        speed = operations * shape.forward_operations / times.median("ours") / 1e9
        row = {
            "shape": shape,
            "pass": pass_,
            "ours_ms": 1e3 * times.median("ours"),
            "torch_ms": 1e3 * times.median("torch"),
            "ratio": times.ratio("torch", "ours"),
            "gflops": speed,
            "peak_gflops": peak,
            "share_of_peak": speed / peak,
        }
        rows.append(row)
        print(
            f"{tuple(shape)!s:22} {pass_:8} {row['ours_ms']:9.3f} {row['torch_ms']:9.3f} "
            f"{row['ratio']:7.2f} {speed:8.0f} {row['share_of_peak']:7.0%} {peak:8.0f}",
            flush=True,
        )
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="of both (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=11, help="(default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="seven more shapes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    timing.use_threads(arguments.threads)
    timing.print_machine()
    print(
        f"{'T, B, I, H':22} {'pass':8} {'ours ms':>9} {'torch ms':>9} {'ratio':>7} "
        f"{'GFLOP/s':>8} {'of peak':>7} {'peak':>8}"
    )
    shapes = SHAPES + MORE_SHAPES if arguments.all else SHAPES
    rows = [row for shape in shapes for row in compare(shape, arguments.rounds)]
    means = {
        pass_: geometric_mean(row["ratio"] for row in rows if row["pass"] == pass_)
        for pass_ in ("forward", "training")
    }
    print()
    print("torch's time over ours, geometric mean: ", end="")
    print(", ".join(f"{pass_} {mean:.2f}" for pass_, mean in means.items()))
    if arguments.json:
        facts = machine.describe()
        result = {"machine": facts, "rows": rows, "geometric_means": means}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
