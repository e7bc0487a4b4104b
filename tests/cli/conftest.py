"""A small text, a tiny model, and the command line in this process and in another."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fastrnn.cli import main


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """Options of a model that trains in no time."""
    options = "--units 8 --layers 1 --embedding 4 --batch 4 --window 16 --epochs 3"
    return tuple(options.split())


@pytest.fixture
def book(tmp_path) -> Path:
    """Write a text of 12 windows an epoch for the tiny model, with letters beyond ASCII."""
    path = tmp_path / "book.txt"
    path.write_text("".join(f"{i} Vögel, 漢 & {i * i % 97} fish\n" for i in range(40)), "utf-8")
    return path


def without_compilation(err: str) -> str:
    """Drop the engine's line about compiling kernels: it depends on what ran before."""
    lines = err.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("fastrnn: compiling"))


@pytest.fixture
def call(capfd) -> Callable[..., Result]:
    """Run the command line in this process."""

    def call(*words: object) -> Result:
        capfd.readouterr()
        status = main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Result(status, out, without_compilation(err))

    return call


@pytest.fixture
def spawn() -> Callable[..., "subprocess.Popen[str]"]:
    """Start the command line in a process of its own, after the statements `before`."""

    def spawn(
        *words: object,
        before: str = "",
        environment: dict[str, str] | None = None,
        **options: object,
    ) -> "subprocess.Popen[str]":
        program = f"{before}\nimport sys\nfrom fastrnn.cli import main\nsys.exit(main())"
        path = os.pathsep.join(filter(None, sys.path))
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen(
            [sys.executable, "-c", program, *map(str, words)],
            env=os.environ | {"PYTHONPATH": path} | (environment or {}),
            text=True,
            encoding="utf-8",
            **pipes,
        )

    return spawn


@pytest.fixture
def trained(call, book, tiny, tmp_path) -> Path:
    """Make the folder of a finished run."""
    folder = tmp_path / "trained"
    assert call("train", book, *tiny, "--out", folder).status == 0
    return folder
