"""Recurrent layers against torch, ONNX Runtime and Keras on TensorFlow.

    python bench/recurrent_layers.py [--mode lengths] [--cell gru] [--json FILE]
    python bench/recurrent_layers.py --summary FILE...

Each library runs in a process of its own with the same number of threads, and all are timed in
turns while the others sleep.  Before, what they compute is compared, gradients and all.  A rival
with several ways to compute the same (with or without XLA, spinning threads or not) is timed at
its fastest for each shape.  Forward is with frozen weights wherever a library can have them so;
training is forward and the gradients of input, weights and biases.

Shapes are T,B,I,H: time steps, batch, input features, hidden units.  Modes:

    even           one layer, all sequences of T steps
    lengths        one layer, lengths uniform over 1..T
    bidirectional  two bidirectional layers
    single         one layer, one sequence

A ratio is a rival's time over ours: above 1, we are faster.  The share of the arithmetic peak is
that of the highest one measured up to then; GFLOP/s count the products over steps that there are.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import report
import timing
from problems import CELLS, PASSES, Problem, Shape, check
from worker import Outputs, Worker, fastest

from fastrnn import get_num_threads, set_num_threads
from fastrnn.kernels.cpu import machine

SHAPES = {
    "even": [
        Shape(80, 32, 128, 128),
        Shape(80, 128, 100, 64),
        Shape(28, 128, 28, 128),
        Shape(35, 20, 200, 200),
        Shape(35, 20, 650, 650),
        Shape(50, 64, 256, 256),
        Shape(100, 64, 512, 512),
        Shape(50, 32, 1024, 1024),
        Shape(100, 1, 128, 128),
        Shape(100, 1, 512, 512),
        Shape(200, 16, 64, 32),
    ],
    "lengths": [
        Shape(80, 32, 128, 128),
        Shape(80, 128, 100, 64),
        Shape(50, 64, 256, 256),
        Shape(100, 64, 512, 512),
        Shape(200, 16, 64, 32),
    ],
    "bidirectional": [
        Shape(80, 32, 128, 128),
        Shape(28, 128, 28, 128),
        Shape(35, 20, 200, 200),
        Shape(50, 64, 256, 256),
        Shape(100, 1, 128, 128),
    ],
    "single": [
        Shape(1, 1, 128, 128),
        Shape(1, 1, 512, 512),
        Shape(1000, 1, 32, 64),
        Shape(100, 1, 256, 256),
        Shape(100, 1, 1024, 1024),
    ],
}


# Seconds of one call, the mean of so many.
Clock = Callable[[int], float]


class Library(NamedTuple):
    """A rival: the packages it needs, its module, and its processes' environments by name."""

    packages: tuple[str, ...]
    module: str
    environments: dict[str, dict[str, str]]


RIVALS = {
    "torch": Library(("torch",), "rivals.torch_layers", {"": {}}),
    "onnxruntime": Library(("onnxruntime", "onnx"), "rivals.onnxruntime_layers", {"": {}}),
    "keras": Library(
        ("keras", "tensorflow"),
        "rivals.keras_layers",
        {
            "one operation at once": {"TF_NUM_INTEROP_THREADS": "1"},
            "two operations at once": {"TF_NUM_INTEROP_THREADS": "2"},
        },
    ),
}


def make_problem(mode: str, cell: str, shape: Shape) -> Problem:
    """Return the problem of a mode."""
    if mode == "bidirectional":
        return Problem(cell, shape, layers=2, directions=2)
    return Problem(cell, shape, has_lengths=mode == "lengths")


class Comparison:
    """The processes of fastrnn and its rivals."""

    def __init__(self, rivals: Sequence[str], threads: int) -> None:
        self._stack = ExitStack()
        self._ours = self._start("fastrnn_layers", threads, {})
        self._rivals = [
            {
                name: self._start(library.module, threads, environment)
                for name, environment in library.environments.items()
            }
            for library in map(RIVALS.__getitem__, rivals)
        ]

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _start(self, module: str, threads: int, environment: dict[str, str]) -> Worker:
        return self._stack.enter_context(Worker(module, threads, environment))

    def run(self, mode: str, problem: Problem, pass_: str, rounds: int) -> report.Row:
        """Return the figures of one problem and pass; raise if candidates disagree."""
        _build([self._ours], problem, pass_, None)
        names = self._ours.choose()
        clocks = {name: partial(self._ours.seconds_of, name) for name in names}
        workers = [worker for processes in self._rivals for worker in processes.values()]
        expected = self._ours.outputs("ours")
        for name in names:
            check(name, self._ours.outputs(name), expected)
        _build(workers, problem, pass_, expected)
        variants = {}
        for processes in self._rivals:
            for name, (variant, clock) in _choose(processes).items():
                variants[name], clocks[name] = variant, clock
        peak = timing.measure_peak()
        times = timing.take_turns(clocks, rounds=rounds)
        peak = max(peak, timing.measure_peak())
        rivals = {}
        for name, variant in variants.items():
            ratios = times.ratios(name, "ours")
            low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
            rivals[name] = report.Rival(1e3 * times.median(name), ratio, low, high, variant)
        return report.Row(
            mode=mode,
            cell=problem.cell,
            pass_=pass_,
            shape=problem.shape,
            ours_ms=1e3 * times.median("ours"),
            gflops=problem.operations(pass_) / times.median("ours") / 1e9,
            peak_gflops=peak,
            rivals=rivals,
            filled=problem.rows() / (problem.shape.T * problem.shape.B),
            padded_ms=1e3 * times.median("ours padded") if "ours padded" in names else None,
        )


def _build(
    workers: Sequence[Worker], problem: Problem, pass_: str, expected: Outputs | None
) -> None:
    """Have all candidates built and checked, in all processes at once."""
    for worker in workers:
        worker.start_building(problem, pass_, expected)
    for worker in workers:
        worker.finish_building()


def _choose(processes: dict[str, Worker]) -> dict[str, tuple[str, Clock]]:
    """Return a rival's candidates, each with the name of its fastest variant and its clock."""
    variants = {process: worker.choose() for process, worker in processes.items()}
    chosen = {}
    for name in next(iter(variants.values())):
        clocks = {p: partial(worker.seconds_of, name) for p, worker in processes.items()}
        process = fastest(clocks)
        described = ", ".join(filter(None, (variants[process][name], process)))
        chosen[name] = described, clocks[process]
    return chosen


def main() -> None:
    """Print the table and its summary."""
    arguments = _parse()
    if arguments.summary:
        rows = report.load(arguments.summary)
        report.print_table(rows)
        report.print_summary(rows)
        return
    installed = metadata.packages_distributions()
    rivals = [name for name in arguments.rivals if installed.keys() >= {*RIVALS[name].packages}]
    if missing := set(arguments.rivals).difference(rivals):
        print(f"Not installed, and left out: {', '.join(sorted(missing))}")
    set_num_threads(arguments.threads)
    timing.print_machine()
    packages = [package for name in rivals for package in RIVALS[name].packages]
    versions = {package: metadata.version(installed[package][0]) for package in packages}
    print("; ".join(f"{package} {version}" for package, version in versions.items()))
    rows = []
    with Comparison(rivals, arguments.threads) as comparison:
        for mode in arguments.modes:
            print(f"\nMode {mode}\n")
            columns = list(rivals)
            if mode == "lengths" and "torch" in rivals:
                columns.insert(columns.index("torch") + 1, "torch packed")
            report.print_header(columns)
            for cell in arguments.cells:
                for pass_ in arguments.passes:
                    for shape in arguments.shapes or SHAPES[mode]:
                        problem = make_problem(mode, cell, shape)
                        rows.append(comparison.run(mode, problem, pass_, arguments.rounds))
                        report.print_row(rows[-1], columns, report.highest_peak(rows))
                        if arguments.json:  # as it grows: a run that is broken off is not lost
                            report.save(arguments.json, machine.describe() | versions, rows)
    report.print_summary(rows)


def _shape(text: str) -> Shape:
    return Shape(*map(int, text.split(",")))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    lists = (
        ("--mode", "modes", SHAPES, ["even"], "even"),
        ("--cell", "cells", CELLS, [*CELLS], "all"),
        ("--pass", "passes", PASSES, [*PASSES], "both"),
        ("--rivals", "rivals", RIVALS, [*RIVALS], "all that are installed"),
    )
    for option, target, choices, default, described in lists:
        parser.add_argument(
            option, dest=target, nargs="+", choices=choices, default=default, metavar="NAME",
            help=f"{', '.join(choices)} (default: {described})",
        )  # fmt: skip
    parser.add_argument(
        "--shapes", "--shape", nargs="+", type=_shape, metavar="T,B,I,H",
        help="(default: those of the mode)",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=9, help="at least 2 (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=get_num_threads(), help="of each (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--summary", nargs="+", type=Path, metavar="FILE",
        help="measure nothing; print the medians of these runs",
    )  # fmt: skip
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error(f"--rounds: expected at least 2, got {arguments.rounds}")
    return arguments


if __name__ == "__main__":
    main()
