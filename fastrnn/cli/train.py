"""`fastrnn train`: a character model from text.

Without a file it learns the English text of Python's own documentation topics.
`fastrnn train TASK` is another command: see `fastrnn.cli.recipes`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fastrnn.cli.error import CommandError
from fastrnn.cli.options import Limits, Options, add_options, flag
from fastrnn.cli.recipes import TASKS

# What may change when a run goes on: how long it is. Threads do not change the result.
RESUMABLE = ("epochs", "minutes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `fastrnn train`."""
    parser.epilog = (
        f"Other tasks are commands of their own: fastrnn train {{{','.join(TASKS)}}} --help. "
        "A text of such a name is given as ./NAME."
    )
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="UTF-8 text (default: Python's documentation)"
    )
    add_options(parser)
    parser.add_argument(
        "--threads",
        type=Limits(int, 1, 1024).parse,
        metavar="N",
        help="threads to use; their number does not change the result (default: all)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="new folder for the run (default: runs/NAME-DATE-TIME)",
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with this run, bit for bit as if it had never stopped; only --threads, and a "
        "larger --epochs or --minutes to train longer, may be given with it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train; return the exit status."""
    from fastrnn.cli import session

    given = {name: value for name, value in vars(arguments).items() if _is_option(name)}
    if arguments.resume is None:
        if "epochs" in given and "minutes" in given:
            raise CommandError("--epochs and --minutes: expected one of them")
        _check_names(arguments.files)
        return session.start(
            _checked(given), arguments.files, out=arguments.out, threads=arguments.threads
        )
    refused = [flag(name) for name in given if name not in RESUMABLE]
    refused += ["--out"] if arguments.out is not None else []
    refused += ["FILE"] if arguments.files else []
    if refused:
        raise CommandError(f"{', '.join(refused)}: cannot be changed with --resume")
    if _is_of_recipe(arguments.resume):
        from fastrnn.cli import recipe_session

        return recipe_session.resume(arguments.resume, given, task=None, threads=arguments.threads)
    return session.resume(arguments.resume, given, threads=arguments.threads)


def _check_names(files: Sequence[str]) -> None:
    """Raise a CommandError at what is no file, but nearly the name of a task."""
    for file in files:
        near = get_close_matches(file, TASKS, 1)
        if near and not Path(file).exists():
            raise CommandError(f"{file}: no such file; is the task {near[0]} meant?")


def _is_of_recipe(path: str) -> bool:
    from fastrnn.models.run_folder import kind_of

    return kind_of(path) == "recipe"


def _is_option(name: str) -> bool:
    return name in Options.__dataclass_fields__


def _checked(given: dict[str, Any]) -> Options:
    try:
        return Options(**given)
    except ValueError as error:
        raise CommandError(f"--{error}") from error
