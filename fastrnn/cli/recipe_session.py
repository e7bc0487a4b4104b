"""A run of a recipe at the terminal: a new one, or one that goes on."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

import fastrnn
from fastrnn import random, recipes
from fastrnn.callbacks import ModelCheckpoint
from fastrnn.cli import report
from fastrnn.cli.error import CommandError, describe
from fastrnn.cli.info import versions
from fastrnn.cli.options import SEED, Limits, flag
from fastrnn.cli.picture import draw
from fastrnn.cli.recipe_progress import RecipeDisplay
from fastrnn.cli.recipes import EPOCHS, MINUTES, RESUMABLE, TASKS, Option
from fastrnn.cli.signals import signals
from fastrnn.models.checkpoint import CheckpointError, replace
from fastrnn.models.run_folder import RunFolder
from fastrnn.recipes import Recipe, Score
from fastrnn.recipes.continuation import Continuation, StoppedError

KIND = "recipe"
MODEL, REPORT = "model.fastrnn", "report.json"
_INTERRUPTED = 128 + 2

Files = str | list[str] | None


class _Plan(NamedTuple):
    """What makes a run.

    task               its name in TASKS
    files              paths as the recipe takes them
    options            those that are not the recipe's own
    epochs, minutes    None if not given
    seed               of everything
    """

    task: str
    files: Files
    options: dict[str, Any]
    epochs: int | None
    minutes: float | None
    seed: int


def start(
    task: str,
    files: Files,
    options: dict[str, Any],
    *,
    epochs: int | None,
    minutes: float | None,
    seed: int,
    out: str | None,
    threads: int | None,
) -> int:
    """Train a new model; return the exit status.

    Raises
    ------
    CommandError, CheckpointError, OSError
        If something asked for is impossible.
    """
    _set_threads(threads)
    if isinstance(files, str):
        files = str(Path(files).absolute())
    elif files is not None:
        files = [str(Path(file).absolute()) for file in files]
    plan = _Plan(task, files, options, epochs, minutes, seed)
    recipe = _recipe(plan)
    settings = {**plan._asdict(), "sources": _sums(recipe), "versions": dict(versions())}
    folder = RunFolder.create(out or _new_folder(task), kind=KIND, settings=settings)
    return _train(folder, plan, recipe, resumed=False)


def resume(path: str, longer: dict[str, Any], *, task: str | None, threads: int | None) -> int:
    """Go on with the run at `path`, with a larger "epochs" or "minutes" if given.

    Parameters
    ----------
    task : str, optional
        Which one the run has to be of.

    Raises
    ------
    CommandError, CheckpointError, OSError
        If the run is damaged or of another task, or its data are gone or have changed.
    """
    _set_threads(threads)
    folder = RunFolder.open(path, kind=KIND)
    plan = _plan(folder)
    if task not in (None, plan.task):
        raise CommandError(f"{folder.path}: expected a run of {task}, got one of {plan.task}")
    recipe = _recipe(plan)
    recorded = folder.settings.get("sources")
    for source, digest in _sums(recipe).items():
        if not isinstance(recorded, dict) or recorded.get(source) != digest:
            raise CommandError(f"{source}: the data are not those that this run began with")
    length = {"epochs": plan.epochs or recipe.epochs, "minutes": plan.minutes}
    for name, value in longer.items():
        if length[name] is None:
            raise CommandError(f"{flag(name)}: this run's length is not given that way")
        if value < length[name]:
            raise CommandError(f"{flag(name)}: expected at least this run's {length[name]}")
    if (folder.path / REPORT).exists():
        if not longer:
            print("This run is finished. A larger --epochs or --minutes trains it longer.")
            return 0
        (folder.path / REPORT).unlink()
    return _train(folder, plan._replace(**longer), recipe, resumed=True)


def _plan(folder: RunFolder) -> _Plan:
    """Return what a run folder says of its run."""
    settings = folder.settings
    try:
        plan = _Plan(**{name: settings[name] for name in _Plan._fields})
        known = TASKS[plan.task].options
        _check(plan, known)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise CheckpointError(f"{folder.path / 'run.json'}: damaged, {what}") from error
    return plan


def _check(plan: _Plan, known: dict[str, Option]) -> None:
    """Raise a ValueError at a value that the command line would not take."""
    limits = {name: option.values for name, option in known.items()}
    limits |= {"epochs": EPOCHS, "minutes": MINUTES, "seed": SEED}
    given = {**plan.options, "seed": plan.seed}
    given |= {n: v for n in RESUMABLE if (v := getattr(plan, n)) is not None}
    for name, value in given.items():
        values = limits[name]
        try:
            if isinstance(values, Limits):
                values.check(value)
            elif not isinstance(value, str) or (values is not None and value not in values):
                raise ValueError(f"got {value!r}")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    paths = plan.files if isinstance(plan.files, list) else [plan.files]
    if not all(isinstance(path, str) for path in paths if plan.files is not None):
        raise ValueError(f"files: got {plan.files!r}")


def _recipe(plan: _Plan) -> Recipe:
    random.set_seed(plan.seed)
    files = [] if plan.files is None else [plan.files]
    try:
        recipe: Recipe = getattr(recipes, TASKS[plan.task].recipe)(*files, **plan.options)
    except recipes.RecipeError as error:
        raise CommandError(str(error)) from error
    return recipe


def _sums(recipe: Recipe) -> dict[str, str]:
    """Return the SHA-256 sum of each file that the data are from."""
    return {
        str(path.absolute()): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in recipe.sources
    }


def _train(folder: RunFolder, plan: _Plan, recipe: Recipe, *, resumed: bool) -> int:
    console = Console(highlight=False)
    if isinstance(console.file, io.TextIOWrapper):
        console.file.reconfigure(errors="backslashreplace")
    with folder.lock():
        folder.sweep()
        run = Continuation(folder, folder.load("last") if resumed else None)
        run.check(recipe.model)
        if resumed:
            folder.update(folder.settings | plan._asdict())
        epochs = plan.epochs or recipe.epochs
        going_on = [] if not resumed else [
            ("training", f"going on in epoch {run.epoch + 1}, after step {run.step} of it")
        ]  # fmt: skip
        rows = [*recipe.facts(), *going_on, ("run", str(folder.path))]
        report.print_headline(console, rows)
        _write_json(folder.path / "preprocessing.json", recipe.preprocessing())
        which: dict[str, Any] = {"monitor": recipe.monitor, "mode": recipe.mode}
        best = ModelCheckpoint(folder.path / MODEL, save_best_only=True, **which)
        display = RecipeDisplay(console, epochs=epochs, minutes=plan.minutes, **which)
        received: list[int] = []
        try:
            with signals(run.stop, display.stopping) as received, display:
                recipe.fit(epochs=epochs, minutes=plan.minutes, callbacks=[best, display], run=run)
            _conclude(console, recipe, folder.path, plan)
        except StoppedError:
            return _stopped(console, folder, plan, received[0])
        except KeyboardInterrupt:  # while measuring
            return _stopped(console, folder, plan, _INTERRUPTED - 128)
        except (OSError, recipes.DivergenceError) as error:
            raise _explained(error, folder, plan) from error
    return 0


def _stopped(console: Console, folder: RunFolder, plan: _Plan, number: int) -> int:
    console.print("\nStopped; all is saved. To go on:")
    console.print(f"  {_resume_command(folder, plan)}", soft_wrap=True, markup=False)
    return 128 + number


def _explained(error: Exception, folder: RunFolder, plan: _Plan) -> Exception:
    """Return `error` with what is left to the user, if it is one of the system or the numbers."""
    if isinstance(error, recipes.DivergenceError):
        return CommandError(f"{error}; {folder.path} keeps the last checkpoint", status=1)
    if isinstance(error, BrokenPipeError) or not folder.has("last"):
        return error
    return CommandError(
        f"{describe(error)}; the last checkpoint is whole: {_resume_command(folder, plan)}"
    )


def _resume_command(folder: RunFolder, plan: _Plan) -> str:
    return report.command("train", plan.task, "--resume", folder.path)


def _conclude(console: Console, recipe: Recipe, folder: Path, plan: _Plan) -> None:
    """Measure, save and tell."""
    recipe.model.save(folder / MODEL)
    with console.status("Measuring"):
        found = recipe.evaluate()
    console.print()
    _print_scores(console, found.scores)
    for example in found.examples:
        console.print(f"  {example}", markup=False, soft_wrap=True)
    console.print()
    _write_json(
        folder / REPORT,
        {
            **plan._asdict(),
            "versions": dict(versions()),
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
    title = ""
    width = max(len(score.who) for score in scores)
    for score in scores:
        if f"{score.name}, {score.what}" != title:
            title = f"{score.name}, {score.what}"
            console.print(Text(title, style="bold"))
        console.print(Text(f"  {score.value:10.4f}  {score.who:{width}}"), soft_wrap=True)


def _new_folder(name: str) -> Path:
    first = path = Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    count = 1
    while path.exists():
        count += 1
        path = first.with_name(f"{first.name}-{count}")
    return path


def _write_json(path: Path, content: dict[str, Any]) -> None:
    if content:
        replace(path, json.dumps(content, indent=1, ensure_ascii=False).encode())


def _set_threads(threads: int | None) -> None:
    if threads is None:
        return
    try:
        fastrnn.set_num_threads(threads)
    except ValueError as error:
        raise CommandError(f"--threads: {error}") from error
