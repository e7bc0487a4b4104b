"""The pictures of the report: what is drawn is what was measured."""

import pytest

from bench import pages
from bench.pages import charts, drawing, summary
from bench.test_pages import (
    BANDWIDTH,
    CELLS,
    hostile,
    page_of,
    scale_times,
    set_ratio,
    small_report,
    synthetic_report,
)


@pytest.fixture
def content():
    """Give every test its own small report."""
    return small_report()


def drawn(chart):
    """Return the Figure that a chart fills."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    figure = Figure()
    chart.draw(figure, drawing.LIGHT)
    return figure


def texts_of(axes):
    return [text.get_text() for text in axes.texts]


def test_bars_start_at_one_and_say_where_a_rival_is_faster(content):
    set_ratio(content["results"][0], "torch", 0.5)
    set_ratio(content["results"][0], "keras", 4.0)
    report = pages.parse(content)
    first = charts.charts(report)["speed-up"][0]
    (axes,) = drawn(first).axes
    assert axes.get_xscale() == "log"
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches[:3]]
    assert bars[0] == pytest.approx((1.0, 0.5))
    assert bars[2] == pytest.approx((1.0, 4.0))
    assert [bool(bar.get_hatch()) for bar in axes.patches[:3]] == [True, False, False]
    assert [text for text in texts_of(axes) if "faster" in text] == ["0.500  torch is faster"]
    ratio = report.results[0].ratios["torch"]
    assert [*axes.lines[0].get_xdata()] == [ratio.low, ratio.high]


def test_long_groups_are_continued_in_further_pictures():
    report = pages.parse(synthetic_report(CELLS, [(t, 8, 16, 16) for t in range(1, 12)]))
    found = charts.charts(report)["speed-up"]
    assert len(found) > 4
    assert len({chart.name for chart in found}) == len(found)
    shown = [text for chart in found for text in texts_of(drawn(chart).axes[0])]
    for result in report.results:
        assert result.case.title in shown


def test_roofline_has_the_measured_roofs_and_all_points(content):
    (chart,) = charts.charts(pages.parse(content))["roofline"]
    (axes,) = drawn(chart).axes
    points = [
        (*line.get_xdata(), *line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 1
    ]
    for result in content["results"]:
        intensity = result["operations"] / result["bytes"]
        for candidate in result["candidates"].values():
            assert any(p == pytest.approx((intensity, candidate["gflops"])) for p in points)
    peak = max(result["peak_gflops"] for result in content["results"])
    (roof,) = (line for line in axes.lines if len(line.get_xdata()) == 3)
    assert [*roof.get_ydata()[1:]] == [peak, peak]
    assert roof.get_xdata()[1] == pytest.approx(peak / BANDWIDTH)
    assert roof.get_ydata()[0] == pytest.approx(roof.get_xdata()[0] * BANDWIDTH)


def test_series_differ_in_one_size_only(content):
    found = summary.series(pages.parse(content))
    assert [(series.axis, [*series.results]) for series in found] == [("B", [1, 16, 128])] * 2
    assert "lstm forward, T 50, I 64, H 128" in found[0].title
    content["results"][1]["case"]["T"] += 1
    assert len(summary.series(pages.parse(content))) == 1
    shapes = [(9, 8, size, size) for size in (16, 32, 64)]
    found = summary.series(pages.parse(synthetic_report(("gru",), shapes)))
    assert [(series.axis, [*series.results]) for series in found] == [("H = I", [16, 32, 64])] * 2


def test_times_on_threads_stand_beside_the_prediction(content):
    (chart,) = charts.charts(pages.parse(content))["threads"]
    figure = drawn(chart)
    lines = [[*line.get_ydata()] for line in figure.axes[0].lines]
    points = content["scaling"][0]["threads"]
    for key in ("ms", "predicted_ms"):
        assert [point[key] for point in points] in lines
    assert [40.0, 20.0, 10.0, 5.0] in lines
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:2] == ["measured", "predicted by the plan"]


def test_hostile_texts_are_drawn(content):
    pytest.importorskip("matplotlib")
    report = pages.parse(hostile(content))
    for drawn in charts.charts(report).values():
        for chart in drawn[:1]:
            assert drawing.render(chart, drawing.LIGHT).startswith(b"\x89PNG")


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_extreme_figures_are_drawn_and_shown(content, factor):
    pytest.importorskip("matplotlib")
    for result in content["results"]:
        scale_times(result["candidates"]["fastrnn"], factor)
        set_ratio(result, "torch", 1.0 / factor)
        del result["candidates"]["fastrnn"]["gflops"]
    report = pages.parse(content)
    assert page_of(content).rows
    for drawn in charts.charts(report).values():
        for chart in drawn[:1]:
            assert drawing.render(chart, drawing.LIGHT).startswith(b"\x89PNG")


def test_labels_are_short_and_of_glyphs_that_the_font_has():
    pytest.importorskip("matplotlib")
    assert drawing.label("lstm forward") == "lstm forward"
    assert drawing.label("\u65e5x") == "\u25a1x"
    assert drawing.label("abcdefghij", 6) == "abc…ij"
    # Older ones of matplotlib keep such a label out of a legend.
    assert not drawing.label("_torch").startswith("_")
