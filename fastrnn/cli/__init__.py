"""The command line: `fastrnn train`, `generate`, `explain`, `info`, `bench`.

`fastrnn train TASK` is a command of its own for each task in `fastrnn.cli.recipes`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from fastrnn import __version__
from fastrnn.cli import bench, explain, generate, info, recipes, train
from fastrnn.cli.error import CommandError, describe

COMMANDS = {
    "train": (train, "train a character model on text"),
    "generate": (generate, "write text with a trained model"),
    "explain": (explain, "show how the work of a layer is shared among threads"),
    "info": (info, "show what the engine uses on this machine"),
    "bench": (bench, "compare the engine with other libraries on this machine"),
}

_BROKEN_PIPE = 128 + 13
_INTERRUPTED = 128 + 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        Words after the program's name; those of this process if None.

    Returns
    -------
    int
        The exit status: 0; 1 for a failure; 2 for bad input, with one line on standard error;
        130 and 143 after Ctrl-C and SIGTERM.
    """
    _open_missing_streams()
    try:
        words = _with_task(sys.argv[1:] if arguments is None else arguments)
        parsed = _parser(words).parse_args(words)
        command = COMMANDS.get(parsed.command)
        status: int = recipes.run(parsed) if command is None else command[0].run(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("fastrnn: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has left. The interpreter's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception as error:
        line = describe(error)
        if line is None:
            raise
        print(f"fastrnn: error: {line}", file=sys.stderr)
        return error.status if isinstance(error, CommandError) else 2
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message} (see {self.prog} --help)")


def _with_task(words: Sequence[str]) -> list[str]:
    """Make one word of `train` and a task that follows it."""
    if list(words[:1]) == ["train"] and len(words) > 1 and words[1] in recipes.TASKS:
        return [f"train {words[1]}", *words[2:]]
    return list(words)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser of all commands; of the tasks only the one that is meant has arguments."""
    parser = _Parser(prog="fastrnn", description="Recurrent networks on CPUs.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fastrnn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(
            name, help=text, description=f"{text.capitalize()}.", allow_abbrev=False
        )
        module.add_arguments(command)
    for name, task in recipes.TASKS.items():
        if list(words[:1]) == [f"train {name}"]:
            command = commands.add_parser(
                words[0], description=f"{task.text.capitalize()}.", allow_abbrev=False
            )
            recipes.add_arguments(command, name)
    return parser


def _open_missing_streams() -> None:
    """Let prints go nowhere where the process was started with closed streams."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
