"""A small text, a tiny model, and the command line in this process and in another."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from fastrnn.cli import main


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Options of a model that trains in no time."""
    options = "--units 8 --layers 1 --embedding 4 --batch 4 --window 16 --epochs 3"
    return tuple(options.split())


def write_book(folder: Path) -> Path:
    """Write a text of 12 windows an epoch for the tiny model, with letters beyond ASCII."""
    path = folder / "book.txt"
    path.write_text("".join(f"{i} Vögel, 漢 & {i * i % 97} fish\n" for i in range(40)), "utf-8")
    return path


@pytest.fixture
def book(tmp_path) -> Path:
    """Return a text of the test's own."""
    return write_book(tmp_path)


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


@pytest.fixture(scope="session")
def finished(tiny, tmp_path_factory) -> Callable[..., Path]:
    """Return the folder of a run that is finished; the same options give the same one."""

    @cache
    def finished(*options: str) -> Path:
        folder = tmp_path_factory.mktemp("finished")
        words = ["train", str(write_book(folder)), *tiny, *options, "--out", str(folder / "run")]
        with redirect_stdout(io.StringIO()):
            assert main(words) == 0
        return folder / "run"

    return finished


@pytest.fixture
def trained(finished, book, tmp_path) -> Path:
    """Return a copy of a finished run, of the test's own text."""
    source = finished()
    folder = shutil.copytree(source, tmp_path / "trained")
    settings = folder / "run.json"
    text = settings.read_text().replace(str(source.with_name(book.name)), str(book))
    assert str(book) in text
    settings.write_text(text)
    return folder
