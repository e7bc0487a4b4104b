"""The tables of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from . import summary
from .comparison import Change
from .markup import NOTHING, Markup, element, figure, spread
from .results import Case, Measurement, Report, Result, Rival, Scaling

# Columns of the table of results, in order; some are left out.
_COLUMNS = ("candidate", "ms", "quartiles", "ratio", "its quartiles", "GFLOP/s", "of peak",
            "peak MB", "first call s", "error", "energy J", "variant")  # fmt: skip

_MEANINGS = {
    "ms": "Median of the rounds",
    "quartiles": "Half of the rounds are within",
    "ratio": "Its time over ours: above 1 we are faster",
    "GFLOP/s": "Operations of the matrix products",
    "of peak": "Share of the arithmetic peak measured beside it",
    "peak MB": "Resident memory of its process at most",
    "first call s": "With all that is built or compiled at first",
    "error": "Largest deviation from what must come out",
    "energy J": "Of the processor, for one call",
    "variant": "The fastest of its ways to compute it",
}

# Columns of words, which stand on the left and may wrap.
_WORDS = {"variant", "plan", "status", "versions", "threads enforced by", "denormals", "remark"}


def table(head: Sequence[str], bodies: Iterable[Markup]) -> Markup:
    """Return a table that scrolls within itself, its first column staying in sight."""
    thead = element("thead", element("tr", *(_heading(name) for name in head)))
    return element("div", element("table", thead, *bodies), class_="scroll", tabindex=0)


def _heading(name: str) -> Markup:
    return element(
        "th",
        name,
        scope="col",
        class_="text" if name in _WORDS else None,
        title=_MEANINGS.get(name),
    )


def row(*cells: str | Markup, class_: str | None = None) -> Markup:
    """Return a row; its first cell is its heading."""
    first, *others = cells
    return element(
        "tr", element("th", first, scope="row"), *(_cell(c) for c in others), class_=class_
    )


def _cell(content: str | Markup) -> Markup:
    if isinstance(content, Markup) and content.startswith("<td"):
        return content
    return element("td", content)


def case_row(case: Case, columns: int, *more: str, link: str | None = None) -> Markup:
    """Return a row above those of one case, with its sizes and `more` lines below its name."""
    name = element("a", case.heading, href=link) if link else case.heading
    lines = [element("small", line) for line in (description(case), *more)]
    pin = element("div", name, *lines, class_="pin")
    return element("tr", element("th", pin, colspan=columns, scope="rowgroup"))


def text_cell(text: str) -> Markup:
    """Return a cell of words, which may wrap."""
    return element("td", text, class_="text")


def anchor(index: int) -> str:
    """Return the name of a result's place in the page."""
    return f"case-{index + 1}"


def description(case: Case) -> str:
    """Return sizes and what is unusual about a case."""
    return ", ".join(filter(None, [f"T {case.T}, B {case.B}, I {case.I}, H {case.H}", case.notes]))


def of_results(indexed: Sequence[tuple[int, Result]]) -> Markup:
    """Return the table of all candidates of some results, which stand beside their indices."""
    measured = [m for _, result in indexed for m in result.candidates.values()]
    left_out = {
        "energy J": all(m.energy_j is None for m in measured),
        "variant": not any(m.variant or m.variants for m in measured),
    }
    columns = [name for name in _COLUMNS if not left_out.get(name)]
    return table(columns, (_body(index, result, columns) for index, result in indexed))


def _body(index: int, result: Result, columns: Sequence[str]) -> Markup:
    case = result.case
    traffic = (
        f"{figure(result.operations / 1e6)} million operations, {figure(result.bytes / 1e6)} MB; "
        f"peak {figure(result.peak_gflops, 4)} GFLOP/s, {figure(result.bandwidth_gb_s)} GB/s"
    )
    rows = [case_row(case, len(columns), traffic)]
    for name, measured in result.candidates.items():
        cells = _cells(name, measured)
        is_slower = measured.ratio is not None and measured.ratio.slower
        rows.append(row(*(cells[c] for c in columns), class_="slower" if is_slower else None))
    for name, reason in result.refused.items():
        words = element("div", f"not measured: {reason}", class_="beside")
        rows.append(row(name, element("td", words, class_="text", colspan=len(columns) - 1)))
    return element("tbody", *rows, id=anchor(index))


def _cells(name: str, found: Measurement) -> dict[str, str]:
    ratio = found.ratio
    share = NOTHING if found.share is None else f"{found.share:.1%}"
    width = f"--w: {min(100.0, 100.0 * (found.share or 0.0)):.1f}%"
    return {
        "candidate": name,
        "ms": figure(found.ms),
        "quartiles": spread(found.low_ms, found.high_ms),
        "ratio": element("td", _ratio(ratio.median), class_="ratio") if ratio else "",
        "its quartiles": spread(ratio.low, ratio.high) if ratio else "",
        "GFLOP/s": figure(found.gflops),
        "of peak": element("td", share, class_="share", style=width),
        "peak MB": figure(found.peak_rss_mb),
        "first call s": figure(found.first_call_s),
        "error": figure(found.error, 2),
        "energy J": figure(found.energy_j),
        "variant": text_cell(_variant(found)),
    }


def _variant(found: Measurement) -> str:
    """Return the chosen variant, which opens to the times of all, if there were several."""
    name = found.variant or "usual"
    times = {other or "usual": ms for other, ms in (found.variants or {}).items()}
    if len(times) < 2:
        return found.variant
    all_times = ", ".join(f"{other} {figure(ms)} ms" for other, ms in times.items())
    return element("details", element("summary", name), f"Tried: {all_times}")


def _ratio(ratio: float) -> str:
    return f"{figure(ratio)}{' faster' if ratio < 1.0 else ''}"


def of_slower(report: Report) -> Markup:
    """Return the table of cases in which a rival is faster."""
    head = ["rival", "ratio", "quartiles", "beyond the spread", "our ms", "its ms"]
    places = {id(result): index for index, result in enumerate(report.results)}
    bodies: dict[int, list[Markup]] = {}
    for result, rival, ratio in summary.slower(report):
        assert result.ours is not None
        place = places[id(result)]
        heading = case_row(result.case, len(head), link=f"#{anchor(place)}")
        bodies.setdefault(place, [heading]).append(
            row(
                rival,
                element("td", figure(ratio.median), class_="worse"),
                spread(ratio.low, ratio.high),
                "yes" if ratio.certain else "no, 1 is within",
                figure(result.ours.ms),
                figure(result.candidates[rival].ms),
            )
        )
    return table(head, (element("tbody", *rows) for rows in bodies.values()))


def _colour(ratio: float) -> str | None:
    return "worse" if ratio < 1.0 else None


def of_means(report: Report) -> Markup:
    """Return the table of geometric means, with a column for each rival."""
    found = summary.means(report)
    names = [name for name in report.rival_names if any(name in mean.rivals for mean in found)]
    bodies = []
    for task in dict.fromkeys(mean.task for mean in found):
        rows = [
            row(
                f"{mean.task}, {mean.cell}",
                str(mean.cases),
                element("td", element("b", figure(mean.best)), class_=_colour(mean.best)),
                element("td", figure(mean.lowest), class_=_colour(mean.lowest)),
                str(mean.slower),
                *(figure(mean.rivals.get(name)) for name in names),
            )
            for mean in found
            if mean.task == task
        ]  # fmt: skip
        bodies.append(element("tbody", *rows))
    head = ["task, cell", "cases", "best rival", "lowest", "slower in", *names]
    return table(head, bodies)


def of_rivals(rivals: Mapping[str, Rival]) -> Markup:
    """Return the table of who took part, and how."""
    rows = []
    for name, rival in rivals.items():
        how = [rival.reason]
        if rival.install and rival.status == "missing":
            how.append(f"pip install {rival.install}")
        rows.append(
            row(
                name,
                text_cell(rival.status),
                text_cell(", ".join(f"{p} {v}" for p, v in rival.versions.items()) or NOTHING),
                text_cell(rival.threads or NOTHING),
                text_cell(rival.denormals or NOTHING),
                text_cell("; ".join(filter(None, how)) or NOTHING),
            )
        )
    head = ["rival", "status", "versions", "threads enforced by", "denormals", "remark"]
    return table(head, [element("tbody", *rows)])


def of_changes(changes: Sequence[Change]) -> Markup:
    """Return the table of what changed between two reports."""
    head = ["candidate", "before ms", "quartiles", "after ms", "quartiles", "after / before",
            "beyond the spread"]  # fmt: skip
    bodies: dict[Case, list[Markup]] = {}
    for change in changes:
        colour = {"slower": "worse", "faster": "better"}.get(change.verdict)
        rows = bodies.setdefault(change.case, [case_row(change.case, len(head))])
        rows.append(
            row(
                change.name,
                figure(change.before.ms),
                spread(change.before.low_ms, change.before.high_ms),
                figure(change.after.ms),
                spread(change.after.low_ms, change.after.high_ms),
                element("td", figure(change.ratio), class_=colour),
                change.verdict or NOTHING,
                class_="slower" if change.is_regression else None,
            )
        )
    return table(head, (element("tbody", *rows) for rows in bodies.values()))


def of_scaling(scaling: Sequence[Scaling]) -> Markup:
    """Return the table of times by number of threads, beside the plan's prediction."""
    head = ["threads", "ms", "quartiles", "times as fast", "GFLOP/s", "of peak", "predicted ms",
            "measured / predicted", "plan"]  # fmt: skip
    bodies = []
    for found in scaling:
        rows = [case_row(found.case, len(head))]
        for point in found.points:
            share = point.gflops / point.peak_gflops if point.gflops and point.peak_gflops else None
            ratio = point.ms / point.predicted_ms if point.predicted_ms else None
            rows.append(
                row(
                    str(point.threads),
                    figure(point.ms),
                    spread(point.low_ms, point.high_ms),
                    figure(found.points[0].ms / point.ms),
                    figure(point.gflops),
                    NOTHING if share is None else f"{share:.1%}",
                    figure(point.predicted_ms),
                    figure(ratio),
                    text_cell(point.plan),
                )
            )
        bodies.append(element("tbody", *rows))
    return table(head, bodies)
