"""`fastrnn bench`: fastrnn against other libraries, on this machine."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module, util
from pathlib import Path
from types import ModuleType
from typing import Any

import fastrnn
from fastrnn.cli.error import CommandError

_NAME = "fastrnn.bench"

# With `--quick` no case is begun after so long, so that three minutes suffice on a busy machine.
_QUICK_SECONDS = 130.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `fastrnn bench`."""
    _add_choice(parser)
    parser.add_argument(
        "--rivals", nargs="+", metavar="NAME", help="those of --list (default: all)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few cases and rounds, in less than three minutes"
    )
    parser.add_argument("--list", action="store_true", help="list all cases and rivals")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    scaling = actions.add_parser("scaling", help="ours with 1, 2, ... threads", allow_abbrev=False)
    _add_choice(scaling, default=argparse.SUPPRESS)  # what stands before the action stays
    report = actions.add_parser("report", help="make pages of a file of --json", allow_abbrev=False)
    report.add_argument("file", type=Path, metavar="FILE")
    report.add_argument("--out", type=Path, metavar="DIR", help="(default: beside the file)")
    report.add_argument("--baseline", type=Path, metavar="FILE", help="an earlier file, to compare")
    compare = actions.add_parser("compare", help="what changed between two files")
    compare.add_argument("before", type=Path, metavar="BEFORE")
    compare.add_argument("after", type=Path, metavar="AFTER")


def _add_choice(parser: argparse.ArgumentParser, **default: Any) -> None:
    add = partial(parser.add_argument, **default)
    add("--cases", nargs="+", metavar="NAME", help="cases or groups of --list, or all")
    add("--cells", nargs="+", metavar="NAME", help="(default: lstm, gru, rnn)")
    add("--passes", nargs="+", metavar="NAME", help="forward, training (default: both)")
    add("--rounds", type=int, metavar="N", help="at least 2 (default: 9)")
    add("--threads", type=int, metavar="N", help="of every library (default: all processors)")
    add("--json", type=Path, metavar="FILE", help="write all figures there, as they come")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked for; return the exit status."""
    if arguments.action and (arguments.rivals or arguments.quick or arguments.list):
        raise CommandError(f"--rivals, --quick, --list: not for {arguments.action}")
    match arguments.action:
        case "report":
            return _report(arguments)
        case "compare":
            before, after = _read(arguments.before), _read(arguments.after)
            return int(_part("pages").print_comparison(_console(), before, after))
        case "scaling":
            return _at_work(_scale, arguments)
        case _ if arguments.list:
            print("\n".join(_part("table").catalogue()))
            return 0
    return _at_work(_compare, arguments)


def _at_work(action: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Do something with processes of libraries; say in one line which of them fails."""
    library, worker = _part("library"), _part("worker")
    try:
        return action(arguments)
    except (library.WrongCandidateError, library.UnableRivalError) as error:
        raise CommandError(f"no figures: fastrnn is wrong: {error}", status=1) from error
    except worker.WorkerError as error:
        raise CommandError(str(error).strip().splitlines()[-1], status=1) from error


def _report(arguments: argparse.Namespace) -> int:
    report = _read(arguments.file)
    baseline = None if arguments.baseline is None else _read(arguments.baseline)
    folder = arguments.out or arguments.file.with_suffix("")
    try:
        print(_part("pages").write_report(report, folder, baseline))
    except ImportError as error:
        raise CommandError(str(error), status=1) from error
    return 0


def _read(path: Path) -> Any:
    pages = _part("pages")
    try:
        return pages.read(path)
    except pages.ReportError as error:
        raise CommandError(str(error)) from error


def _compare(arguments: argparse.Namespace) -> int:
    """Compare with rivals; 1 if anything was wrong."""
    suite, table, rivals = _part("suite"), _part("table"), _part("rivals")
    chosen, threads = _cases(arguments, quick=arguments.quick), _threads(arguments)
    names = arguments.rivals or (rivals.QUICK if arguments.quick else rivals.RIVALS)
    for name in names:
        if name not in rivals.RIVALS:
            raise CommandError(f"--rivals: expected {', '.join(rivals.RIVALS)}; got {name!r}")
    settings = suite.Settings(5, 0.02, _QUICK_SECONDS) if arguments.quick else suite.Settings()
    if arguments.rounds is not None:
        settings = settings._replace(rounds=arguments.rounds)
    described = {"command": _command(arguments), **settings.to_json()}
    record = _part("record").Record(arguments.json, threads=threads, settings=described)
    with table.Table(_console()) as shown:
        with suite.Suite(names, record, threads, settings) as running:
            all_right = running.run(chosen, shown)
        shown.summary(record.content)
    return 0 if all_right else 1


def _scale(arguments: argparse.Namespace) -> int:
    suite, scaling = _part("suite"), _part("scaling")
    chosen, threads = _cases(arguments, quick=False), _threads(arguments)
    settings = suite.Settings(arguments.rounds or suite.Settings().rounds)
    described = {"command": _command(arguments), **settings.to_json()}
    record = _part("record").Record(arguments.json, threads=threads, settings=described)
    with scaling.Scaling(threads, settings) as running:
        for case in chosen:
            entry = running.measure(case)
            record.add("scaling", entry)
            print("\n".join(scaling.lines(entry)), flush=True)
    return 0


def _cases(arguments: argparse.Namespace, *, quick: bool) -> Any:
    cases = _part("cases")
    cells = arguments.cells or (cases.USUAL_CELLS[:2] if quick else cases.USUAL_CELLS)
    try:
        chosen = cases.select(
            arguments.cases or (cases.QUICK if quick else cases.USUAL),
            cells,
            arguments.passes or cases.PASSES,
        )
    except ValueError as error:
        raise CommandError(f"--{error}") from error
    # Where time may not suffice, all kinds of cases come before the second cell.
    return sorted(chosen, key=lambda case: list(cells).index(case.cell)) if quick else chosen


def _threads(arguments: argparse.Namespace) -> int:
    if arguments.rounds is not None and arguments.rounds < 2:
        raise CommandError(f"--rounds: expected at least 2, got {arguments.rounds}")
    most = len(_part("meters").processors())
    threads = min(fastrnn.get_num_threads(), most)
    if arguments.threads is not None:
        threads = arguments.threads
    if not 1 <= threads <= most:
        raise CommandError(f"--threads: expected 1 to {most}, the processors here, got {threads}")
    return threads


def _console() -> Any:
    from rich.console import Console  # not for --help of another command

    return Console()


def _command(arguments: argparse.Namespace) -> str:
    """Return what to type for the same again."""
    words = ["fastrnn", "bench", *filter(None, [arguments.action])]
    words += ["--quick"] * (arguments.action is None and arguments.quick)
    for name in ("cases", "cells", "passes", "rivals", "rounds", "threads"):
        value = getattr(arguments, name, None)
        if value is not None:
            values = value if isinstance(value, list) else [value]
            words += [f"--{name}", *map(str, values)]
    return shlex.join(words)


def _part(name: str) -> Any:
    """Return a module of the suite."""
    return import_module(f"{package().__name__}.{name}")


def package() -> ModuleType:
    """Return the suite: part of an installation, or the folder beside a checkout's package.

    Raises
    ------
    CommandError
        If it is in neither place.
    """
    if _NAME not in sys.modules and util.find_spec(_NAME) is None:
        folder = Path(fastrnn.__file__).resolve().parents[1] / "bench"
        spec = util.spec_from_file_location(
            _NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None or not (folder / "__init__.py").is_file():
            raise CommandError(f"the suite is neither installed nor in {folder}", status=1)
        module = util.module_from_spec(spec)
        sys.modules[_NAME] = module
        spec.loader.exec_module(module)
    return import_module(_NAME)
