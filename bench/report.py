"""Tables and summaries of what `recurrent_layers.py` measured."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any, NamedTuple

from problems import Shape


class Rival(NamedTuple):
    """A rival's time, and how many times as long as ours it is: median and quartiles of rounds."""

    ms: float
    ratio: float
    low: float
    high: float
    variant: str


class Row(NamedTuple):
    """The figures of one problem and pass.

    In mode "lengths", `filled` is the share of the steps that are in a sequence and `padded_ms`
    our time over all steps.
    """

    mode: str
    cell: str
    pass_: str
    shape: Shape
    ours_ms: float
    gflops: float
    peak_gflops: float
    rivals: dict[str, Rival]
    filled: float = 1.0
    padded_ms: float | None = None

    @property
    def best(self) -> str:
        """The rival that comes closest to us, or is furthest ahead."""
        return min(self.rivals, key=lambda name: self.rivals[name].ratio)

    def best_ratio(self) -> float:
        """Return that rival's time over ours."""
        return self.rivals[self.best].ratio


def save(path: Path, machine: dict[str, str], rows: Iterable[Row]) -> None:
    """Write all figures as JSON."""
    listed = [
        row._asdict() | {"rivals": {name: rival._asdict() for name, rival in row.rivals.items()}}
        for row in rows
    ]
    path.write_text(json.dumps({"machine": machine, "rows": listed}, indent=1) + "\n")


def load(paths: Iterable[Path]) -> list[Row]:
    """Return the rows of all files; of rows that are in several of them, the medians."""
    runs: dict[tuple[Any, ...], list[Row]] = {}
    for path in paths:
        for entry in json.loads(path.read_text())["rows"]:
            rivals = {name: Rival(**rival) for name, rival in entry["rivals"].items()}
            row = Row(**entry | {"shape": Shape(*entry["shape"]), "rivals": rivals})
            runs.setdefault((row.mode, row.cell, row.pass_, row.shape), []).append(row)
    return [_median(rows) for rows in runs.values()]


def _median(rows: Sequence[Row]) -> Row:
    def of(numbers: Iterable[float | None]) -> Any:
        known = [number for number in numbers if number is not None]
        return median(known) if known else None

    rivals = {}
    for name in rows[0].rivals:
        runs = [row.rivals[name] for row in rows if name in row.rivals]
        rivals[name] = Rival(
            of(run.ms for run in runs),
            of(run.ratio for run in runs),
            min(run.low for run in runs),
            max(run.high for run in runs),
            Counter(run.variant for run in runs).most_common(1)[0][0],
        )
    return rows[0]._replace(
        ours_ms=of(row.ours_ms for row in rows),
        gflops=of(row.gflops for row in rows),
        peak_gflops=of(row.peak_gflops for row in rows),
        padded_ms=of(row.padded_ms for row in rows),
        rivals=rivals,
    )


def print_header(rivals: Sequence[str]) -> None:
    """Print the head of the table."""
    columns = [f"{name} ms, ratio" for name in rivals]
    print(_line("cell", "pass", "T, B, I, H", "ours ms", columns, "best", "GFLOP/s", "of peak"))
    print(_line("---", "---", "---", "---:", ["---:"] * len(columns), "---:", "---:", "---:"))


def print_row(row: Row, rivals: Sequence[str], peak: float) -> None:
    """Print a line of the table, with a mark where a rival is faster; `peak` is in GFLOP/s."""
    columns = []
    for name in rivals:
        rival = row.rivals.get(name)
        columns.append(f"{rival.ms:.3f} {rival.ratio:5.2f}" if rival else "")
    shape = ", ".join(map(str, row.shape))
    best = f"{row.best_ratio():.2f}{' <' if row.best_ratio() < 1 else '  '}" if row.rivals else ""
    share = f"{row.gflops / peak:.0%}"
    print(
        _line(row.cell, row.pass_, shape, f"{row.ours_ms:.3f}", columns, best,
              f"{row.gflops:.0f}", share),
        flush=True,
    )  # fmt: skip


def _line(
    cell: str, pass_: str, shape: str, ours: str, rivals: Sequence[str], best: str, speed: str,
    share: str,
) -> str:  # fmt: skip
    cells = [f"{cell:4}", f"{pass_:8}", f"{shape:20}", f"{ours:>9}"]
    cells += [f"{rival:>22}" for rival in rivals]
    cells += [f"{best:>7}", f"{speed:>7}", f"{share:>7}"]
    return f"| {' | '.join(cells)} |"


def rivals_of(rows: Iterable[Row]) -> list[str]:
    """Return the names of all rivals in the rows."""
    return list(dict.fromkeys(name for row in rows for name in row.rivals))


def highest_peak(rows: Iterable[Row]) -> float:
    """Return the highest arithmetic peak beside any row: others' work makes the rest too low."""
    return max(row.peak_gflops for row in rows)


def print_table(rows: Sequence[Row]) -> None:
    """Print all rows, a table for each mode."""
    peak = highest_peak(rows)
    for mode in dict.fromkeys(row.mode for row in rows):
        of_mode = [row for row in rows if row.mode == mode]
        print(f"\nMode {mode}\n")
        print_header(rivals_of(of_mode))
        for row in of_mode:
            print_row(row, rivals_of(of_mode), peak)


def print_summary(rows: Sequence[Row]) -> None:
    """Print means, the worst, the cost of unequal lengths, and where a rival is faster."""
    _print_means(rows)
    _print_lengths([row for row in rows if row.padded_ms is not None])
    _print_slower([row for row in rows if row.rivals and row.best_ratio() < 1])
    _print_variants(rows)
    lowest = min(row.peak_gflops for row in rows)
    print(f"Arithmetic peak beside each row: {lowest:.0f} to {highest_peak(rows):.0f} GFLOP/s")


def _print_means(rows: Sequence[Row]) -> None:
    rivals = rivals_of(rows)
    print("\nA rival's time over ours, geometric means over the shapes; the worst of them\n")
    heads = "".join(f"{name:>14}" for name in rivals)
    print(f"{'mode':14}{'pass':10}{'cell':6}{'shapes':>6}{heads}{'best rival':>12}  worst")
    for mode in dict.fromkeys(row.mode for row in rows):
        for pass_ in dict.fromkeys(row.pass_ for row in rows):
            of_pass = [row for row in rows if (row.mode, row.pass_) == (mode, pass_)]
            for cell in [*dict.fromkeys(row.cell for row in of_pass), "all"]:
                chosen = [row for row in of_pass if cell in (row.cell, "all") and row.rivals]
                if not chosen:
                    continue
                means = "".join(f"{_mean(chosen, name):>14}" for name in rivals)
                best = geometric_mean(row.best_ratio() for row in chosen)
                worst = min(chosen, key=Row.best_ratio)
                print(
                    f"{mode:14}{pass_:10}{cell:6}{len(chosen):6}{means}{best:12.2f}  "
                    f"{worst.best_ratio():.2f} {worst.cell} {tuple(worst.shape)}, {worst.best}"
                )


def _mean(rows: Iterable[Row], rival: str) -> str:
    ratios = [row.rivals[rival].ratio for row in rows if rival in row.rivals]
    return f"{geometric_mean(ratios):.2f}" if ratios else ""


def _print_lengths(rows: Sequence[Row]) -> None:
    """Print what a step of a sequence costs where lengths differ, over its cost where they do not.

    1 means that the time follows the sum of the lengths.
    """
    if not rows:
        return
    print("\nTime of a step in sequences of unequal lengths over that in equal ones\n")
    print(f"{'cell':6}{'pass':10}{'T, B, I, H':22}{'steps':>6}{'ours':>8}{'torch packed':>14}")
    for row in rows:
        assert row.padded_ms is not None
        ours = row.ours_ms / row.padded_ms / row.filled
        packed = ""
        if {"torch", "torch packed"} <= row.rivals.keys():
            share = row.rivals["torch packed"].ms / row.rivals["torch"].ms
            packed = f"{share / row.filled:.2f}"
        shape = ", ".join(map(str, row.shape))
        print(f"{row.cell:6}{row.pass_:10}{shape:22}{row.filled:6.0%}{ours:8.2f}{packed:>14}")


def _print_slower(rows: Sequence[Row]) -> None:
    if not rows:
        print("\nNo rival is faster anywhere.")
        return
    print("\nA rival is faster here (its time over ours; the middle half of the rounds):\n")
    for row in sorted(rows, key=Row.best_ratio):
        for name, rival in sorted(row.rivals.items(), key=lambda item: item[1].ratio):
            if rival.ratio < 1:
                print(
                    f"{row.mode} {row.cell} {row.pass_} {tuple(row.shape)}: {name} "
                    f"{rival.ms:.3f} ms, ours {row.ours_ms:.3f} ms, ratio {rival.ratio:.2f} "
                    f"({rival.low:.2f} to {rival.high:.2f})"
                )


def _print_variants(rows: Sequence[Row]) -> None:
    """Print which variants of the rivals were the fastest, and how often."""
    print()
    for name in rivals_of(rows):
        variants = Counter(row.rivals[name].variant for row in rows if name in row.rivals)
        if set(variants) != {""}:
            counts = ", ".join(f"{variant or 'plain'} {n}" for variant, n in variants.most_common())
            print(f"Fastest variants of {name}: {counts}")
