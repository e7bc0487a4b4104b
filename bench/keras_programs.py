"""Two programs written for Keras, run by Keras on TensorFlow and by fastrnn.

    python -m bench.keras_programs [--program sentiment cells] [--rounds 9] [--batches 20]

    sentiment  Embedding(20000, 128), LSTM(128, dropout=0.2, recurrent_dropout=0.2), Dense(1) on
               reviews of 80 words in batches of 32, Adam
    cells      Embedding(10000, 100), two SimpleRNNCell(64) called in a Python loop over 80 words
               inside a subclassed Model, Dense(1), batches of 128, Adam
    layers     the same as two SimpleRNN(64, unroll=True) in a Sequential

The program is the same but for its imports.  Each library runs it in a process of its own; in each
round all fit one epoch, one after the other.  Before, the loss of equal weights is compared.  Keras
runs with and without XLA; its faster one counts.  A ratio above 1: fastrnn is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import timing

LENGTH = 80
# (vocabulary, batch) of each program.
SIZES = {"sentiment": (20000, 32), "cells": (10000, 128), "layers": (10000, 128)}
# What runs a program, by name: the package, and the argument of compile().
RUNNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "fastrnn": ("fastrnn", {}),
    "Keras": ("keras", {"jit_compile": False}),
    "Keras with XLA": ("keras", {"jit_compile": True}),
}

_TOLERANCE = 1e-5


def make_model(package: Any, program: str) -> Any:
    """Return the program's model, with the layers of `package`."""
    layers, ops = package.layers, package.ops
    vocabulary, batch = SIZES[program]
    if program == "sentiment":
        return package.Sequential(
            [
                layers.Embedding(vocabulary, 128),
                layers.LSTM(128, dropout=0.2, recurrent_dropout=0.2),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
    if program == "layers":
        return package.Sequential(
            [
                layers.Embedding(vocabulary, 100),
                layers.SimpleRNN(64, return_sequences=True, unroll=True),
                layers.SimpleRNN(64, unroll=True),
                layers.Dense(1, activation="sigmoid"),
            ]
        )

    class Cells(package.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.state0 = [ops.zeros([batch, 64])]
            self.state1 = [ops.zeros([batch, 64])]
            self.embedding = layers.Embedding(vocabulary, 100)
            # Keras cannot build its graph where these have dropout.
            self.cell0, self.cell1 = layers.SimpleRNNCell(64), layers.SimpleRNNCell(64)
            self.head = layers.Dense(1)

        def call(self, inputs: Any, training: Any = None) -> Any:
            x = self.embedding(inputs)
            state0, state1 = self.state0, self.state1
            for word in ops.unstack(x, axis=1):
                h0, state0 = self.cell0(word, state0, training=training)
                h1, state1 = self.cell1(h0, state1, training=training)
            return ops.sigmoid(self.head(h1))

    return Cells()


def compiled(package: Any, program: str, **options: Any) -> Any:
    """Return the program's model, as it learns; options are those of `compile`."""
    model = make_model(package, program)
    optimizer = package.optimizers.Adam(0.001)
    model.compile(loss="binary_crossentropy", optimizer=optimizer, metrics=["accuracy"], **options)
    return model


def made_reviews(program: str, batches: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return words (N, LENGTH), and (N, 1) whether one of a certain hundredth is among them."""
    vocabulary, batch = SIZES[program]
    rng = np.random.default_rng(0)
    x = rng.integers(1, vocabulary, (batches * batch, LENGTH)).astype(np.int32)
    return x, (x < vocabulary // 100).any(axis=1).astype(np.float32)[:, None]


class Runner:
    """A process that runs one program on one library, as the process that asks sees it."""

    def __init__(self, name: str, program: str, threads: int, batches: int, weights: Path) -> None:
        arguments = [name, program, str(threads), str(batches), str(weights)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.keras_programs", "--serve", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        self.name = name
        self.loss = self._receive()

    def fit(self) -> float:
        """Return the seconds of an epoch."""
        assert self._process.stdin is not None
        print("fit", file=self._process.stdin, flush=True)
        return self._receive()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _receive(self) -> float:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("answer "):
                return float(json.loads(line.removeprefix("answer ")))
        raise RuntimeError(f"{self.name}: its process has ended")


def serve(name: str, program: str, threads: str, batches: str, weights: str) -> None:
    """Build a program, answer with its loss, and then with the seconds of each epoch asked for."""
    package, options = RUNNERS[name]
    if package == "keras":
        import keras as library
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(int(threads))
        tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    else:
        import fastrnn as library

        library.set_num_threads(int(threads))
    batch = SIZES[program][1]
    x, y = made_reviews(program, int(batches))
    model = compiled(library, program, **options)
    model(x[:batch])
    file = Path(weights)
    if file.exists():
        with np.load(file) as arrays:
            model.set_weights([arrays[key] for key in arrays.files])
    else:
        np.savez(file, *model.get_weights())
    loss = model.evaluate(x, y, batch_size=batch, verbose=0)[0]
    # Two epochs: the second is the first that has nothing left to trace or compile.  The answer
    # comes after them, or they would go on beside what is timed first.
    for _ in range(2):
        model.fit(x, y, batch_size=batch, epochs=1, verbose=0)
    _answer(loss)
    for _ in sys.stdin:
        start = time.perf_counter()
        model.fit(x, y, batch_size=batch, epochs=1, verbose=0)
        _answer(time.perf_counter() - start)


def _answer(number: float) -> None:
    print(f"answer {json.dumps(float(number))}", flush=True)


def compare(program: str, threads: int, batches: int, rounds: int) -> None:
    """Print the figures of one program; raise if the libraries disagree."""
    _, batch = SIZES[program]
    rows = batches * batch
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.npz"
        runners = [Runner(name, program, threads, batches, weights) for name in RUNNERS]
        ours = runners[0]
        seconds: dict[str, list[float]] = {runner.name: [] for runner in runners}
        try:
            for runner in runners:
                if not abs(runner.loss - ours.loss) <= _TOLERANCE * abs(ours.loss):
                    raise RuntimeError(
                        f"{program}: a loss of {runner.loss} by {runner.name}, expected {ours.loss}"
                    )
            for turn in range(rounds):
                for runner in runners[:: 1 if turn % 2 == 0 else -1]:
                    timing.rest()
                    seconds[runner.name].append(runner.fit())
        finally:
            for runner in runners:
                runner.close()
    print(f"\n{program}: loss of equal weights {ours.loss:.6f}; {rounds} rounds of {rows} rows")
    for name, times in seconds.items():
        pairs = zip(times, seconds[ours.name], strict=True)
        low, ratio, high = statistics.quantiles([a / b for a, b in pairs], n=4, method="inclusive")
        median = statistics.median(times)
        print(
            f"  {name:16} {rows / median:8.0f} rows/s  {1e3 * median / batches:7.2f} ms a step  "
            f"ratio {ratio:5.2f} ({low:.2f}-{high:.2f})",
            flush=True,
        )


def main() -> None:
    """Print the figures of all programs."""
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", nargs="+", choices=SIZES, default=[*SIZES], metavar="NAME")
    parser.add_argument(
        "--rounds", type=timing.count, default=9, help="at least 2 (default: %(default)s)"
    )
    parser.add_argument(
        "--batches", type=timing.count, default=20, help="in an epoch (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=timing.count, default=2, help="of each (default: %(default)s)"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error(f"--rounds: expected at least 2, got {arguments.rounds}")
    for program in arguments.program:
        compare(program, arguments.threads, arguments.batches, arguments.rounds)


if __name__ == "__main__":
    main()
