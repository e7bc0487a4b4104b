"""A training session at the terminal: a new run, or one that goes on."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

import fastrnn
from fastrnn import optimizers
from fastrnn.cells import CELLS
from fastrnn.cli import report
from fastrnn.cli.character_model import KIND, build_model, continuation, load_model
from fastrnn.cli.error import CommandError, describe
from fastrnn.cli.info import versions
from fastrnn.cli.options import Options, flag
from fastrnn.cli.progress import Display, open_display
from fastrnn.cli.signals import signals
from fastrnn.cli.training import DivergenceError, Trainer
from fastrnn.kernels.cpu import machine
from fastrnn.models.checkpoint import CheckpointError
from fastrnn.models.language import LanguageModel
from fastrnn.models.run_folder import RunFolder
from fastrnn.preprocessing.text import (
    Vocabulary,
    Windows,
    fitting_batch,
    read_documentation,
    read_files,
    split,
)


def start(options: Options, files: Sequence[str], *, out: str | None, threads: int | None) -> int:
    """Train a new model; return the exit status.

    Raises
    ------
    CommandError, TextError, CheckpointError, OSError
        If something asked for is impossible.
    """
    _set_threads(threads)
    if options.cell not in CELLS:
        raise CommandError(f"--cell: expected {', '.join(CELLS)}, got {options.cell!r}")
    paths = [str(Path(file).absolute()) for file in files]
    text = read_files(files) if files else read_documentation()
    vocabulary = Vocabulary(split(text)[0])
    try:
        model = LanguageModel(
            len(vocabulary),
            cell=options.cell,
            units=options.units,
            layers=options.layers,
            embedding=options.embedding,
            dropout=options.dropout,
            seed=options.seed,
        )
    except ValueError as error:
        raise CommandError(f"the model is impossible: {error}") from error
    settings = {
        "options": options.to_dict(),
        "model": model.get_config(),
        "text": {"files": paths, "characters": len(text), "sha256": _digest(text)},
        "versions": dict(versions()),
        "vocabulary": vocabulary.to_list(),
    }
    folder = RunFolder.create(out or _new_folder(files), kind=KIND, settings=settings)
    return _train(folder, options, model, vocabulary, text, resumed=False)


def resume(path: str, longer: dict[str, Any], *, threads: int | None) -> int:
    """Go on with the run at `path`, with a larger "epochs" or "minutes" if given.

    Raises
    ------
    CommandError, TextError, CheckpointError, OSError
        If the run is damaged, or its text is gone or has changed.
    """
    _set_threads(threads)
    folder = RunFolder.open(path, kind=KIND)
    model, vocabulary = build_model(folder)
    try:
        options = Options.from_dict(folder.settings["options"])
        files = [str(file) for file in folder.settings["text"]["files"]]
        digest = folder.settings["text"]["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder.path / 'run.json'}: damaged, {error}") from error
    text = read_files(files) if files else read_documentation()
    if _digest(text) != digest:
        source = ", ".join(files) if files else "this Python's documentation"
        raise CommandError(f"{source}: the text is not the one that this run began with")
    for name, value in longer.items():
        recorded = getattr(options, name)
        if recorded is None or (name == "epochs" and options.minutes is not None):
            raise CommandError(f"{flag(name)}: this run's length is not given that way")
        if value < recorded:
            raise CommandError(f"{flag(name)}: expected at least this run's {recorded}")
    options = replace(options, **longer)
    return _train(folder, options, model, vocabulary, text, resumed=True)


def _train(
    folder: RunFolder,
    options: Options,
    model: LanguageModel,
    vocabulary: Vocabulary,
    text: str,
    *,
    resumed: bool,
) -> int:
    console = Console(highlight=False)
    if isinstance(console.file, io.TextIOWrapper):
        console.file.reconfigure(errors="backslashreplace")  # a locale may lack the text's letters
    training, validation = (
        Windows(
            vocabulary.encode(part),
            batch=fitting_batch(len(part), batch=options.batch, window=options.window),
            window=options.window,
        )
        for part in split(text)
    )
    optimizer = optimizers.Adam(
        learning_rate=options.learning_rate, global_clipnorm=options.clip or None
    )
    display = open_display(console, epochs=None if options.minutes else options.epochs)
    trainer = Trainer(
        model,
        optimizer,
        training=training,
        validation=validation,
        options=options,
        run=folder,
        reporter=display,
    )
    with folder.lock():
        folder.sweep()
        if resumed:
            trainer.resume()
            folder.update(folder.settings | {"options": options.to_dict()})
        report.print_headline(console, _headline(trainer, vocabulary, text))
        try:
            status = _run(console, display, trainer, resumed=resumed)
            if status == 0:
                _report(console, trainer, text)
        except (OSError, DivergenceError) as error:
            raise _explained(error, trainer) from error
    return status


def _run(console: Console, display: Display, trainer: Trainer, *, resumed: bool) -> int:
    if not resumed:
        trainer.save()  # from here on the run can be resumed; and a full disk shows at once
    if trainer.finished:
        console.print("This run is finished. A larger --epochs or --minutes trains it longer.\n")
        return 0
    with signals(trainer.stop, display.stopping) as received, display:
        finished = trainer.train()
    console.print()
    if finished:
        return 0
    console.print(f"Stopped after step {trainer.position.step}; all is saved. To go on:")
    console.print(f"  {_resume_command(trainer)}", soft_wrap=True, markup=False)
    return 128 + received[0]


def _report(console: Console, trainer: Trainer, text: str) -> None:
    path = trainer.folder.path
    with console.status("Compressing the text for comparison"):
        compressed = report.compressed_bits(text)
    model, vocabulary = load_model(trainer.folder)
    characters = continuation(
        model,
        vocabulary,
        "",
        length=report.SAMPLE_LENGTH,
        temperature=report.SAMPLE_TEMPERATURE,
        top_p=1.0,
        seed=trainer.options.seed,
    )
    report.print_sample(console, "".join(characters))
    console.print()
    report.print_figures(console, trainer.position, compressed)
    console.print()
    try:
        report.draw_curves(path / "loss.png", trainer.position, compressed)
        rows = [("loss curves", str(path / "loss.png"))]
    except ImportError:
        rows = [("loss curves", "not drawn without matplotlib: pip install fastrnn[plot]")]
    rows.append(("more text", report.command("generate", path)))
    report.print_headline(console, rows)


def _headline(trainer: Trainer, vocabulary: Vocabulary, text: str) -> list[tuple[str, str]]:
    options, training = trainer.options, trainer.training
    files = trainer.folder.settings["text"]["files"]
    source = ", ".join(Path(file).name for file in files) or "Python's documentation topics"
    learned, held_out = (len(part) for part in split(text))
    unknown = int((vocabulary.encode(text[learned:]) == vocabulary.unknown).sum())
    parameters = sum(array.size for array in trainer.model.weights.values())
    shrunk = "" if training.batch == options.batch else f" (too little text for {options.batch})"
    length = f"{options.minutes:g} minutes" if options.minutes else f"{options.epochs} epochs"
    facts = machine.describe()
    threads = fastrnn.get_num_threads()
    return [
        ("text", f"{source}: {len(text):,} characters"),
        (
            "",
            f"{learned:,} to train on, {held_out:,} to validate"
            + (f", {unknown} of them unknown to the model" if unknown else ""),
        ),
        (
            "model",
            f"{options.cell}, layers {options.layers}, units {options.units}, vocabulary "
            f"{len(vocabulary)}: {parameters:,} parameters",
        ),
        (
            "training",
            f"{length}, {len(training)} steps an epoch, batch {training.batch}{shrunk}, "
            f"window {training.window}"
            + (f"; going on after step {trainer.position.step}" if trainer.position.step else ""),
        ),
        (
            "machine",
            f"{threads} {'thread' if threads == 1 else 'threads'}, {facts['instruction_set']}",
        ),
        ("run", str(trainer.folder.path)),
    ]


def _explained(error: Exception, trainer: Trainer) -> Exception:
    """Return `error` with what is left to the user, if it is one of the system or the numbers."""
    if isinstance(error, BrokenPipeError):
        return error
    path = trainer.folder.path
    if isinstance(error, DivergenceError):
        advice = "a smaller --learning-rate or --clip may help"
        return CommandError(f"{error}: {advice}; {path} keeps the last checkpoint", status=1)
    if not trainer.folder.has("last"):
        return error
    return CommandError(
        f"{describe(error)}; the last checkpoint is whole: {_resume_command(trainer)}"
    )


def _resume_command(trainer: Trainer) -> str:
    return report.command("train", "--resume", trainer.folder.path)


def _set_threads(threads: int | None) -> None:
    if threads is None:
        return
    try:
        fastrnn.set_num_threads(threads)
    except ValueError as error:
        raise CommandError(f"--threads: {error}") from error


def _new_folder(files: Sequence[str]) -> Path:
    name = re.sub(r"[^\w.-]+", "-", Path(files[0]).stem) if files else "python-topics"
    first = path = Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    count = 1
    while path.exists():
        count += 1
        path = first.with_name(f"{first.name}-{count}")
    return path


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
