"""What a run of the benchmark suite found, as its JSON file holds it.

Times are medians of rounds, with their quartiles as `low` and `high`; a `ratio` is a rival's time
over ours, measured round by round: above 1 we are faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

FORMAT = "fastrnn bench 1"
OURS = "fastrnn"


class Case(NamedTuple):
    """One thing to compute: a workload by name, a cell, a pass, the sizes.

    `lengths` says how the lengths of the sequences are spread, `vocabulary` the size of the
    vocabulary where the input is words.
    """

    name: str
    group: str
    kind: str
    cell: str
    pass_: str
    T: int
    B: int
    I: int
    H: int
    layers: int
    directions: int
    lengths: str
    dtype: str
    vocabulary: int | None

    @property
    def title(self) -> str:
        """Workload and cell, enough among cases of one task."""
        return f"{self.name}, {self.cell}"

    @property
    def heading(self) -> str:
        """Workload, cell and task."""
        return f"{self.title} {self.task}"

    @property
    def shape(self) -> str:
        """The sizes T, B, I, H."""
        return f"{self.T}, {self.B}, {self.I}, {self.H}"

    @property
    def notes(self) -> str:
        """What is not as in one layer, one way, on equal lengths of float32; may be empty."""
        notes = {
            f"{self.layers} layers": self.layers != 1,
            "bidirectional": self.directions != 1,
            f"{self.lengths} lengths": self.lengths != "even",
            self.dtype: self.dtype != "float32",
            f"vocabulary {self.vocabulary}": self.vocabulary is not None,
        }
        return ", ".join(note for note, applies in notes.items() if applies)

    @property
    def task(self) -> str:
        """Pass, and kind where it is not a layer: `forward`, `forward, stream`."""
        return self.pass_ if self.kind == "layer" else f"{self.pass_}, {self.kind}"


class Ratio(NamedTuple):
    """A rival's time over ours, and the quartiles of the rounds."""

    median: float
    low: float
    high: float

    @property
    def slower(self) -> bool:
        """Whether the rival is faster than we are."""
        return self.median < 1.0

    @property
    def certain(self) -> bool:
        """Whether 1 is outside the quartiles."""
        return not self.low <= 1.0 <= self.high


class Measurement(NamedTuple):
    """The figures of one candidate; `ratio` only where both it and we were measured.

    `variant` is the fastest of its ways to do it, `variants` the ms of all that were tried.
    """

    ms: float
    low_ms: float
    high_ms: float
    rounds_ms: tuple[float, ...] = ()
    gflops: float | None = None
    share: float | None = None
    error: float | None = None
    first_call_s: float | None = None
    peak_rss_mb: float | None = None
    energy_j: float | None = None
    variant: str = ""
    variants: Mapping[str, float] | None = None
    ratio: Ratio | None = None


class Result(NamedTuple):
    """All candidates of a case; `refused` says why others did not take part."""

    case: Case
    operations: int
    bytes: int
    peak_gflops: float
    bandwidth_gb_s: float
    candidates: Mapping[str, Measurement]
    refused: Mapping[str, str]

    @property
    def ours(self) -> Measurement | None:
        """Our own figures, if we were measured."""
        return self.candidates.get(OURS)

    @property
    def ratios(self) -> dict[str, Ratio]:
        """The ratio of each rival that was compared."""
        compared = {name: found.ratio for name, found in self.candidates.items() if name != OURS}
        return {name: ratio for name, ratio in compared.items() if ratio is not None}

    @property
    def best(self) -> tuple[str, Ratio] | None:
        """The rival that comes closest to us, or is furthest ahead."""
        return min(self.ratios.items(), key=lambda item: item[1].median, default=None)


class ThreadPoint(NamedTuple):
    """Our time with a number of threads, and what the plan had predicted."""

    threads: int
    ms: float
    low_ms: float
    high_ms: float
    gflops: float | None
    peak_gflops: float | None
    predicted_ms: float | None
    plan: str


class Scaling(NamedTuple):
    """A case with growing numbers of threads."""

    case: Case
    points: tuple[ThreadPoint, ...]


class Rival(NamedTuple):
    """How a rival took part, or what to install for it.

    `threads` says how their number is enforced, `denormals` whether they are kept.
    """

    status: str
    versions: Mapping[str, str]
    threads: str
    denormals: str
    install: str
    reason: str


class Wrong(NamedTuple):
    """A candidate whose answer is not the oracle's: its case has no figures."""

    case: Case
    candidate: str
    reason: str


class Report(NamedTuple):
    """A whole file."""

    date: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    threads: int
    pinning: str | None
    settings: Mapping[str, str]
    rivals: Mapping[str, Rival]
    results: tuple[Result, ...]
    scaling: tuple[Scaling, ...]
    wrong: tuple[Wrong, ...]

    @property
    def rival_names(self) -> list[str]:
        """All rivals that were measured, those that are listed first."""
        measured = {name for result in self.results for name in result.candidates} - {OURS}
        listed = [name for name in self.rivals if name in measured]
        return listed + sorted(measured - {*listed})
