"""The page of a report: `index.html`, with its pictures beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from fastrnn.models.checkpoint import replace

from . import comparison, overview, summary, tables
from .charts import charts
from .drawing import DARK, DPI, LIGHT, Chart, Theme, render, require
from .markdown import markdown_table
from .markup import Markup, element, figure, joined
from .results import Report
from .style import CSS

_INTRODUCTION = (
    "A ratio is a rival's time over ours, measured in turns in the same run: above 1 we are "
    "faster. Times are medians of rounds; the quartiles hold the middle half of them."
)


def write_report(report: Report, folder: str | Path, baseline: Report | None = None) -> Path:
    """Write a page, its pictures, and the tables as Markdown into a folder; return the page.

    A picture for a readme is `overview.png`, and `overview-dark.png` for dark pages. With a
    baseline the page tells what changed since.

    Parameters
    ----------
    report, baseline : Report
        From `read`.
    folder : str or Path
        Made where there is none. Files of an earlier report are replaced.

    Raises
    ------
    ImportError
        Without matplotlib.
    OSError
        If a file cannot be written.
    """
    require()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = charts(report)
    for chart in [chart for section in drawn.values() for chart in section]:
        for theme in (LIGHT, DARK):
            replace(folder / _file(chart, theme), render(chart, theme))
    if (chart_for_readme := overview.for_readme(report)) is not None:
        replace(folder / "overview.png", render(chart_for_readme, LIGHT))
        replace(folder / "overview-dark.png", render(chart_for_readme, DARK))
    replace(folder / "table.md", markdown_table(report).encode())
    index = folder / "index.html"
    replace(index, page(report, drawn, baseline).encode())
    return index


def page(report: Report, drawn: Mapping[str, Sequence[Chart]], baseline: Report | None) -> str:
    """Return the HTML of a report, which shows the files of the charts that are `drawn`."""
    sections = [section for section in _sections(report, drawn, baseline) if section is not None]
    links = [element("a", title, href=f"#{name}") for name, title, _ in sections]
    header = element(
        "header",
        element(
            "div",
            element("h1", "fastrnn beside its rivals"),
            element("p", _when(report), class_="faint"),
            element("nav", *links, aria_label="Sections"),
        ),
    )
    main = element(
        "main",
        _tiles(report),
        element("p", _INTRODUCTION, class_="faint"),
        *(
            element("section", element("h2", title, id=name), content)
            for name, title, content in sections
        ),
        element("footer", f"Measured on {_spoken(report.date)}."),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", "fastrnn benchmark"),
        element("style", Markup(CSS)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', header, main), lang='en')}\n"


def _when(report: Report) -> str:
    parts = [
        _spoken(report.date),
        report.machine.get("processor", ""),
        _count(report.threads, "thread"),
        _count(len(report.results), "case"),
    ]
    return " · ".join(filter(None, parts))


def _spoken(date: str) -> str:
    """Return an ISO date as people write it, and any other text as it is."""
    try:
        return datetime.fromisoformat(date).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return date


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _tiles(report: Report) -> Markup:
    tiles = []
    for task, results in summary.by_task(summary.compared(report.results)).items():
        mean = next(mean for mean in summary.means(report) if mean.task == task)
        behind = f"a rival is faster in {mean.slower}" if mean.slower else "none slower"
        tiles.append(
            element(
                "div",
                task,
                element("b", f"{figure(mean.best)}\N{MULTIPLICATION SIGN}"),
                "the speed of the best rival",
                element("small", f"geometric mean of {_count(len(results), 'case')}, {behind}"),
                class_="tile slower" if mean.best < 1.0 else "tile",
            )
        )
    return element("div", *tiles, class_="tiles") if tiles else Markup("")


_Section = tuple[str, str, Markup]


def _sections(
    report: Report, drawn: Mapping[str, Sequence[Chart]], baseline: Report | None
) -> list[_Section | None]:
    """Return name, title and content of each section, None for those without content."""
    speed_ups = joined(_pictures(drawn["overview"]), _means(report), _pictures(drawn["speed-up"]))
    return [
        _wrong(report),
        ("slower", "Where a rival is faster", _slower(report)),
        ("rivals", "Who took part", _rivals(report)),
        None if baseline is None else ("changes", "Changes", _changes(baseline, report)),
        ("speed-up", "Speed-up", speed_ups) if summary.compared(report.results) else None,
        ("roofline", "Roofline", _pictures(drawn["roofline"])) if drawn["roofline"] else None,
        _scaling(report, drawn),
        ("figures", "All figures", _figures(report)) if report.results else None,
        ("machine", "Machine and how to remake it", _machine(report)),
    ]


def _wrong(report: Report) -> _Section | None:
    if not report.wrong:
        return None
    items = [
        element("li", element("b", f"{wrong.candidate}, {wrong.case.heading}"), f": {wrong.reason}")
        for wrong in report.wrong
    ]
    return "wrong", "Wrong answers", element("div", element("ul", *items), class_="box slower")


def _slower(report: Report) -> Markup:
    if summary.slower(report):
        return tables.of_slower(report)
    said = "No rival is faster in any case." if summary.compared(report.results) else (
        "Nothing was compared with a rival."
    )  # fmt: skip
    return element("p", said)


def _rivals(report: Report) -> Markup:
    if not report.rivals:
        return element("p", "No rival is named.")
    reasons = Counter(item for result in report.results for item in result.refused.items())
    refused = [
        element("li", element("b", name), f": {reason} ({_count(number, 'case')})")
        for (name, reason), number in reasons.items()
    ]
    content = [tables.of_rivals(report.rivals)]
    if refused:
        title = element("h3", "Not measured")
        content.append(element("div", title, element("ul", *refused), class_="box"))
    return joined(*content)


def _changes(baseline: Report, report: Report) -> Markup:
    changes = comparison.compare(baseline, report)
    warnings = comparison.cautions(baseline, report)
    content = [element("p", f"Since {_spoken(baseline.date)}. {comparison.verdict(changes)}")]
    if warnings:
        items = [element("li", warning) for warning in warnings]
        title = element("h3", "What else is different")
        content.append(element("div", title, element("ul", *items), class_="box slower"))
    if moved := [change for change in changes if change.verdict]:
        content.append(tables.of_changes(moved))
    if rest := [change for change in changes if not change.verdict]:
        title = element("summary", f"{len(rest)} within the spread")
        content.append(element("details", title, tables.of_changes(rest)))
    if apart := comparison.unmatched(baseline, report):
        title = element("summary", f"{_count(len(apart), 'case')} in one of the files only")
        content.append(element("details", title, element("ul", *(element("li", s) for s in apart))))
    return joined(*content)


def _means(report: Report) -> Markup:
    note = "Geometric means of each rival's time over ours; the best rival is that of each case."
    return joined(element("p", note, class_="faint"), tables.of_means(report))


def _pictures(drawn: Sequence[Chart]) -> Markup:
    return element("div", *(_picture(chart) for chart in drawn), class_="pictures")


def _file(chart: Chart, theme: Theme) -> str:
    return f"{chart.name}-{theme.name}.png"


def _picture(chart: Chart) -> Markup:
    dark = element("source", srcset=_file(chart, DARK), media="(prefers-color-scheme: dark)")
    image = element(
        "img",
        src=_file(chart, LIGHT),
        alt=chart.text,
        width=round(chart.width * DPI),
        height=round(chart.height * DPI),
        loading="lazy",
    )
    return element("figure", element("picture", dark, image))


def _scaling(report: Report, drawn: Mapping[str, Sequence[Chart]]) -> _Section | None:
    content = []
    if drawn["sizes"]:
        content += [element("h3", "With one size"), _pictures(drawn["sizes"])]
    if drawn["threads"]:
        content += [element("h3", "With threads"), _pictures(drawn["threads"])]
        content.append(tables.of_scaling([found for found in report.scaling if found.points]))
    return ("scaling", "Scaling", joined(*content)) if content else None


def _figures(report: Report) -> Markup:
    groups: dict[str, list[int]] = {}
    for index, result in enumerate(report.results):
        groups.setdefault(f"{result.case.group}: {result.case.task}", []).append(index)
    content = []
    for title, indices in groups.items():
        content.append(element("h3", title))
        content.append(tables.of_results([(index, report.results[index]) for index in indices]))
    return joined(*content)


def _machine(report: Report) -> Markup:
    run = {"date": report.date, "threads": str(report.threads), "pinning": report.pinning or "none"}
    settings = {name: value for name, value in report.settings.items() if name != "command"}
    lists = {"Machine": report.machine, "Versions": report.versions, "Run": run | settings}
    boxes = [
        element("div", element("h3", title), _definitions(found), class_="box")
        for title, found in lists.items()
    ]
    content = [element("div", *boxes, class_="columns")]
    if command := report.settings.get("command"):
        content.append(element("div", element("pre", command), class_="box"))
    return joined(*content)


def _definitions(found: Mapping[str, str]) -> Markup:
    pairs = [
        joined(element("dt", name.replace("_", " ")), element("dd", value))
        for name, value in found.items()
    ]
    return element("dl", *pairs)
