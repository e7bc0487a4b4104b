"""What a run shows: a line for each case as it comes, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import geometric_mean
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from . import cases, timing
from .cases import Case
from .library import OURS
from .record import Record
from .rivals import RIVALS


class Table:
    """Lines on a console, with a bar below them on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), console=console, transient=True,
            disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task("starting", total=None)

    def __enter__(self) -> Table:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def print(self, line: str = "", style: str = "") -> None:
        """Print a line as it is, above the bar."""
        self._console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    def begin(self, total: int, rivals: Sequence[str], record: Record) -> None:
        """Print what the figures depend on, and the head of the table."""
        content = record.content
        self._rivals = list(rivals)
        self._progress.update(self._task, total=total, description="")
        facts = content["machine"]
        self.print(
            f"{facts['processor']}, {facts['instruction_set']}; {content['threads']} threads"
        )
        versions = content["versions"]
        self.print(", ".join(f"{name} {version}" for name, version in versions.items()))
        for line in left_out(content):
            self.print(line, "yellow")
        if warning := timing.busy():
            self.print(f"WARNING: {warning}", "yellow")
        self.print("\nTimes of fastrnn; of rivals, how many times as long they take.")
        heads = "".join(f"{name:>{_width(name)}}" for name in self._rivals)
        self.print(
            f"{'case':27} {'cell':4} {'pass':8} {'T, B, I, H':>19} {'ms':>9} {'spread':>6} "
            f"{'GFLOP/s':>7} {'peak':>5}{heads}"
        )

    def doing(self, case: Case, what: str) -> None:
        """Show what is done now, on a terminal."""
        self._progress.update(self._task, description=f"{case}: {what}")

    def row(self, result: Mapping[str, Any]) -> None:
        """Print the figures of a case; a rival that is faster has a mark."""
        ours, ratios = result["candidates"][OURS], ratios_of(result)
        cells = []
        for name in self._rivals:
            mark = "<" if ratios.get(name, 1.0) < 1 else " "
            shown = f"{ratios[name]:.2f}{mark}" if name in ratios else "- "
            cells.append(f"{shown:>{_width(name)}}")
        spread = (ours["high_ms"] - ours["low_ms"]) / ours["ms"]
        self.print(
            f"{_sizes(result['case'])} {ours['ms']:9.3f} {spread:6.0%} {ours['gflops']:7.0f} "
            f"{ours['share']:5.0%}{''.join(cells)}"
        )
        self._progress.advance(self._task)

    def wrong(self, case: Case, candidate: str, reason: str) -> None:
        """Print that a case has no figures, and why."""
        self.print(
            f"{_sizes(case.to_json())} no figures: {candidate} is wrong: {reason}", "bold red"
        )
        self._progress.advance(self._task)

    def left_out(self, missed: Sequence[Case]) -> None:
        """Print which cases time did not suffice for."""
        self.print(f"no time for {', '.join(map(str, missed))}", "yellow")

    def summary(self, content: Mapping[str, Any]) -> None:
        """Print means, where a rival is faster, and what was not compared."""
        self.print()
        for lines in (
            _means(content["results"]),
            _slower(content["results"]),
            _variants(content["results"]),
            _refused(content["results"]),
            left_out(content),
            [_wrong(entry) for entry in content["wrong"]],
        ):
            for line in lines:
                self.print(line)


def catalogue() -> list[str]:
    """Return a line for each workload, group and rival."""
    lines = ["Cases, in groups: T, B, I, H\n"]
    for case in cases.WORKLOADS:
        notes = [
            case.kind if case.kind != "layer" else "",
            f"{case.layers} layers" if case.layers > 1 else "",
            "both directions" if case.directions == 2 else "",
            f"{case.lengths} lengths" if case.lengths != "even" else "",
            case.dtype if case.dtype != "float32" else "",
            f"vocabulary {case.vocabulary}" if case.vocabulary else "",
        ]
        shape = ", ".join(map(str, (case.T, case.B, case.I, case.H)))
        note = ", ".join(filter(None, notes))
        lines.append(f"{case.group:14} {case.name:27} {shape:>20}  {note}".rstrip())
    lines.append("\nRivals\n")
    for name, rival in RIVALS.items():
        state = "installed" if rival.is_installed() else f"missing: pip install {rival.install}"
        lines.append(f"{name:14} {state}")
    return [
        *lines,
        f"\nCells: {', '.join(cases.CELLS)}",
        f"Without --cases: {', '.join(cases.USUAL)}; with --quick: {', '.join(cases.QUICK)}",
    ]


def _width(name: str) -> int:
    return max(7, len(name) + 1)


def _sizes(case: Mapping[str, Any]) -> str:
    shape = ", ".join(str(case[letter]) for letter in "TBIH")
    return f"{case['name']:27} {case['cell']:4} {case['pass']:8} {shape:>19}"


def ratios_of(result: Mapping[str, Any]) -> dict[str, float]:
    """Return each rival's time over ours."""
    candidates = result["candidates"]
    return {name: found["ratio"] for name, found in candidates.items() if name != OURS}


def left_out(content: Mapping[str, Any]) -> list[str]:
    """Return a line for each rival that takes no part, with what to do about it."""
    lines = []
    for name, facts in content["rivals"].items():
        if facts["status"] == "missing":
            lines.append(f"not compared: {name} is missing; pip install {facts['install']}")
        elif facts["status"] == "failed":
            lines.append(f"not compared: {name} has failed: {facts['reason']}")
    others = [name for name, facts in content["rivals"].items() if facts["status"] == "not asked"]
    if others:
        lines.append(f"not compared: {', '.join(others)}, which --rivals could name")
    return lines


def _means(results: Sequence[Mapping[str, Any]]) -> list[str]:
    compared = [result for result in results if ratios_of(result)]
    lines = []
    for pass_ in dict.fromkeys(result["case"]["pass"] for result in compared):
        of_pass = [result for result in compared if result["case"]["pass"] == pass_]
        ratios: dict[str, list[float]] = {}
        for result in of_pass:
            for name, ratio in ratios_of(result).items():
                ratios.setdefault(name, []).append(ratio)
        best = [min(ratios_of(result).values()) for result in of_pass]
        means = ", ".join(f"{name} {geometric_mean(of):.2f}" for name, of in ratios.items())
        lines.append(
            f"{pass_}, geometric means over {len(of_pass)} cases: {means}; "
            f"the best rival of each case {geometric_mean(best):.2f}, at worst {min(best):.2f}"
        )
    return lines


def _slower(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each case in which a rival is faster."""
    lines = []
    for result in results:
        case, ours = result["case"], result["candidates"][OURS]
        for name, found in result["candidates"].items():
            if found.get("ratio", 1.0) < 1:
                lines.append(
                    f"slower than {name}: {case['name']} {case['cell']} {case['pass']}: "
                    f"{ours['ms']:.3f} ms against {found['ms']:.3f} ms, ratio {found['ratio']:.2f} "
                    f"({found['ratio_low']:.2f} to {found['ratio_high']:.2f})"
                )
    compared = any(ratios_of(result) for result in results)
    return lines or (["slower than no rival anywhere"] if compared else [])


def _variants(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return which variants of the rivals were the fastest, and how often."""
    counts: dict[str, Counter[str]] = {}
    for result in results:
        for name, found in result["candidates"].items():
            counts.setdefault(name, Counter())[found["variant"]] += 1
    return [
        f"fastest variants of {name}: "
        + ", ".join(f"{variant or 'plain'} {n}" for variant, n in counter.most_common())
        for name, counter in counts.items()
        if set(counter) != {""}
    ]


def _refused(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return why rivals take no part in cases, and in how many."""
    counts = Counter(
        f"{name}: {reason}" for result in results for name, reason in result["refused"].items()
    )
    return [f"not compared: {why} ({n} cases)" for why, n in counts.items()]


def _wrong(entry: Mapping[str, Any]) -> str:
    case = entry["case"]
    return (
        f"WRONG: {entry['candidate']}, {case['name']} {case['cell']} {case['pass']}: "
        f"{entry['reason']}"
    )
