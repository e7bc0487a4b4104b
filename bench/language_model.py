"""A character language model trained to a given validation loss, here and in torch.

    python -m bench.language_model TEXT [--target 1.50] [--threads 2] [--units 256] ...

Both start from the same weights and see the same batches and learning rates.  First a training
step of each is timed in turns, then each is trained alone.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn import optimizers
from fastrnn.cli.options import SCHEDULES
from fastrnn.cli.schedule import factor
from fastrnn.kernels.cpu import machine
from fastrnn.models.language import LanguageModel
from fastrnn.preprocessing.text import (
    TextError,
    Vocabulary,
    Windows,
    fitting_batch,
    read_files,
    split,
)

from . import timing
from .rivals import torch_language_model as rival

Ids = NDArray[np.int32]

# Losses of the first steps without dropout; rounding errors grow from step to step.
CHECKED_STEPS = 10
TOLERANCE = 1e-4


class Task(NamedTuple):
    """What both sides learn, and how."""

    options: argparse.Namespace
    vocabulary: int
    training: Windows
    validation: Windows

    def make(self, *, dropout: float) -> dict[str, Learner]:
        """Return both models, with the same initial weights."""
        o = self.options
        model = LanguageModel(
            self.vocabulary, units=o.units, layers=o.layers, embedding=o.embedding,
            dropout=dropout, seed=o.seed,
        )  # fmt: skip
        clip = o.clip or None
        theirs = rival.TorchLanguageModel(model)
        return {
            "torch": Learner(
                self, theirs, rival.Adam(theirs, o.learning_rate, global_clipnorm=clip)
            ),
            "ours": Learner(self, model, optimizers.Adam(o.learning_rate, global_clipnorm=clip)),
        }

    @property
    def operations(self) -> int:
        """Operations of the products of one training step, that of the embedding included."""
        o = self.options
        inputs = o.embedding + (o.layers - 1) * o.units
        weights = 4 * o.units * (inputs + o.layers * o.units) + o.units * self.vocabulary
        return 3 * 2 * weights * self.training.batch * o.window


class Learner:
    """A model on its way through the training windows, again and again."""

    def __init__(self, task: Task, model: Any, optimizer: Any) -> None:
        self._task = task
        self._model = model
        self._optimizer = optimizer
        self._windows = self._endless()
        self.steps = 0

    def _endless(self) -> Iterator[tuple[Ids, Ids]]:
        while True:
            self._state = self._model.zero_state(self._task.training.batch)
            yield from self._task.training

    def step(self) -> float:
        """Learn from the next window; return its loss."""
        o = self._task.options
        inputs, targets = next(self._windows)
        fraction = min(1.0, self.steps / o.steps)
        rate = factor(o.schedule, step=self.steps, fraction=fraction, steps=o.steps)
        self._optimizer.learning_rate = o.learning_rate * rate
        loss, _, self._state = self._model.train_step(
            inputs, targets, self._state, self._optimizer, self.steps
        )
        self.steps += 1
        return float(loss)

    def validate(self) -> float:
        """Return the loss in nats a character on the validation part."""
        windows = self._task.validation
        state = self._model.zero_state(windows.batch)
        total = 0.0
        for inputs, targets in windows:
            loss, state = self._model.evaluate(inputs, targets, state)
            total += float(loss) * inputs.size
        return total / windows.characters


class Course(NamedTuple):
    """How a training went: `seconds` of training, and with the validations."""

    reached: bool
    steps: int
    seconds: float
    seconds_with_validation: float
    step_seconds: float
    losses: list[tuple[int, float, float]]  # step, seconds, validation loss


def check(task: Task) -> None:
    """Print the first losses side by side; raise WrongAnswerError unless they agree."""
    pair = task.make(dropout=0.0)
    print(f"{'step':>6} {'ours':>10} {'torch':>10}   training loss without dropout")
    for step in range(CHECKED_STEPS):
        ours, theirs = pair["ours"].step(), pair["torch"].step()
        print(f"{step:6} {ours:10.6f} {theirs:10.6f}")
        timing.check(f"loss of step {step}", ours, theirs, TOLERANCE)
    ours, theirs = pair["ours"].validate(), pair["torch"].validate()
    print(f"{'valid':>6} {ours:10.6f} {theirs:10.6f}", flush=True)
    timing.check("validation loss", ours, theirs, TOLERANCE)


def compare_steps(task: Task, rounds: int) -> dict[str, float]:
    """Time a training step of each in turns; print and return the figures."""
    pair = task.make(dropout=task.options.dropout)
    peak = timing.measure_peak()
    steps: dict[str, Callable[[], Any]] = {name: learner.step for name, learner in pair.items()}
    times = timing.measure(steps, rounds=rounds, seconds=0.3)
    peak = max(peak, timing.measure_peak())
    speed = task.operations / times.median("ours") / 1e9
    figures = {
        "ours_ms": 1e3 * times.median("ours"),
        "torch_ms": 1e3 * times.median("torch"),
        "ratio": times.ratio("torch", "ours"),
        "gflops": speed,
        "peak_gflops": peak,
    }
    print(
        f"\na training step in turns: ours {figures['ours_ms']:.2f} ms, torch "
        f"{figures['torch_ms']:.2f} ms, ratio {figures['ratio']:.2f}; ours {speed:.0f} GFLOP/s, "
        f"{speed / peak:.0%} of the peak of {peak:.0f}\n",
        flush=True,
    )
    return figures


def train(name: str, learner: Learner, options: argparse.Namespace) -> Course:
    """Train until the target is reached or the steps are up."""
    training = validating = 0.0
    each: list[float] = []
    losses = []
    reached = False
    while learner.steps < options.steps and not reached:
        for _ in range(min(options.every, options.steps - learner.steps)):
            start = time.perf_counter()
            loss = learner.step()
            each.append(time.perf_counter() - start)
            training += each[-1]
            if not math.isfinite(loss):
                raise timing.WrongAnswerError(f"{name}: loss {loss} at step {learner.steps}")
        start = time.perf_counter()
        loss = learner.validate()
        validating += time.perf_counter() - start
        losses.append((learner.steps, training, loss))
        print(f"{name:6} step {learner.steps:6}  {training:8.1f} s  loss {loss:.4f}", flush=True)
        reached = loss <= options.target
    return Course(reached, learner.steps, training, training + validating, median(each), losses)


def print_courses(courses: dict[str, Course], task: Task) -> None:
    """Print both ways to the target side by side."""
    target = task.options.target
    characters = task.training.batch * task.options.window
    print(f"\n{'step':>6} {'ours':>8} {'torch':>8}   validation loss, nats a character")
    losses = {n: {step: loss for step, _, loss in c.losses} for n, c in courses.items()}
    for step in sorted(losses["ours"] | losses["torch"]):
        both = (losses[name].get(step) for name in ("ours", "torch"))
        print(f"{step:6} " + " ".join(" " * 8 if x is None else f"{x:8.4f}" for x in both))
    print()
    for name, course in courses.items():
        outcome = f"reached {target:g}" if course.reached else f"did not reach {target:g}"
        print(
            f"{name:6} {outcome} in {course.steps} steps: {course.seconds:.1f} s of training "
            f"({course.seconds_with_validation:.1f} s with validation), median step "
            f"{1e3 * course.step_seconds:.2f} ms, {characters / course.step_seconds:,.0f} "
            "characters/s"
        )
    ours, theirs = courses["ours"], courses["torch"]
    if ours.reached and theirs.reached:
        print(f"torch's time to the target over ours: {theirs.seconds / ours.seconds:.2f}")


def main() -> None:
    """Check, time steps in turns, then train each to the target."""
    options = _parser().parse_args()
    timing.use_threads(options.threads)
    timing.print_machine()
    try:
        task = make_task(options)
    except TextError as error:
        raise SystemExit(str(error)) from error
    check(task)
    figures = compare_steps(task, options.rounds)
    if options.steps_only:
        return
    pair = task.make(dropout=options.dropout)
    courses = {name: train(name, pair[name], options) for name in ("ours", "torch")}
    print_courses(courses, task)
    if options.json:
        result = {
            "options": {**vars(options), "text": str(options.text), "json": str(options.json)},
            "machine": machine.describe(),
            "step": figures,
            "courses": {name: course._asdict() for name, course in courses.items()},
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def make_task(options: argparse.Namespace) -> Task:
    """Read the text and cut it into windows."""
    text = read_files([options.text])
    parts = split(text)
    vocabulary = Vocabulary(parts[0])
    training, validation = (
        Windows(
            vocabulary.encode(part),
            batch=fitting_batch(len(part), batch=options.batch, window=options.window),
            window=options.window,
        )
        for part in parts
    )
    return Task(options, len(vocabulary), training, validation)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("text", type=Path, help="a UTF-8 text; its last tenth is the validation part")
    add("--target", type=float, default=1.50, help="validation loss in nats a character")
    add("--threads", type=timing.count, default=2, help="of both sides")
    add("--units", type=timing.count, default=256, help="of each layer")
    add("--layers", type=timing.count, default=2, help="LSTM layers")
    add("--embedding", type=timing.count, default=64, help="numbers that stand for a character")
    add("--dropout", type=float, default=0.2, help="share of outputs dropped")
    add("--batch", type=timing.count, default=32, help="streams of text side by side")
    add("--window", type=timing.count, default=64, help="steps that gradients flow back through")
    add("--learning-rate", type=float, default=5e-3, help="largest learning rate")
    add("--schedule", choices=SCHEDULES, default="cosine", help="how the learning rate falls")
    add("--clip", type=float, default=1.0, help="largest norm of a gradient; 0: no limit")
    add("--steps", type=timing.count, default=2000, help="steps at most; the schedule's length")
    add("--every", type=timing.count, default=100, help="steps between validations")
    add("--rounds", type=timing.count, default=11, help="rounds of the comparison in turns")
    add("--seed", type=int, default=0, help="of weights and dropout")
    add("--steps-only", action="store_true", help="stop after the comparison in turns")
    add("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


if __name__ == "__main__":
    main()
