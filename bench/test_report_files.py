"""Files of the suite: what is wrong in them is named, what changed between two is found."""

import copy
import io
import json
import random
import re

import pytest
from rich.console import Console

from bench import pages
from bench.pages import comparison
from bench.test_pages import heading_of, page_of, scale_times, set_ratio, small_report


@pytest.fixture
def content():
    """Give every test its own small report."""
    return small_report()


def change(content, path, value):
    """Set a value deep in the content."""
    *parents, last = path
    for step in parents:
        content = content[step]
    content[last] = value


R0 = ("results", 0)
TORCH = (*R0, "candidates", "torch")
WRONG = [
    (("format",), "fastrnn bench 2", "format: expected 'fastrnn bench 1', got 'fastrnn bench 2'"),
    (("date",), 5, "date: expected a text, got 5"),
    (("machine",), [], "machine: expected an object, got a list"),
    (("threads",), 0, "threads: expected a whole number, at least 1, got 0"),
    (("threads",), True, "threads: expected a whole number, at least 1, got True"),
    (("results",), {}, "results: expected a list, got an object"),
    (("results", 1), None, "results[1]: expected an object, got None"),
    ((*R0, "case", "T"), "9", "results[0].case.T: expected a whole number, at least 1, got '9'"),
    ((*R0, "case", "kind"), "cell", "results[0].case.kind: expected 'layer' or 'step' or 'stream'"),
    ((*R0, "case", "pass"), ["x"], "results[0].case.pass: expected 'forward' or 'training'"),
    ((*R0, "bytes"), 1e9, "results[0].bytes: expected a whole number, at least 0"),
    ((*R0, "peak_gflops"), 0, "results[0].peak_gflops: expected a number within"),
    ((*TORCH, "ms"), "fast", "results[0].candidates.torch.ms: expected a number within"),
    ((*TORCH, "ms"), float("nan"), "results[0].candidates.torch.ms: expected a number within"),
    ((*TORCH, "ms"), float("inf"), "results[0].candidates.torch.ms: expected a number within"),
    ((*TORCH, "ratio"), -1.0, "results[0].candidates.torch.ratio: expected a number within"),
    ((*TORCH, "low_ms"), 1e9, "results[0].candidates.torch.low_ms: expected at most ms"),
    ((*TORCH, "high_ms"), 1e-9, "results[0].candidates.torch.high_ms: expected at least ms"),
    ((*TORCH, "error"), 10**400, "results[0].candidates.torch.error: expected a number within"),
    ((*TORCH, "variant"), 7, "results[0].candidates.torch.variant: expected a text, got 7"),
    (("rivals", "jax"), "missing", "rivals.jax: expected an object, got 'missing'"),
    (
        ("scaling", 0, "threads", 2, "ms"),
        None,
        "scaling[0].threads[2].ms: expected a number within",
    ),
    (("wrong",), [{}], "wrong[0].case: missing"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=lambda x: str(x)[:40])
def test_a_wrong_field_is_named(content, tmp_path, path, value, message):
    change(content, path, value)
    file = tmp_path / "run.json"
    file.write_text(json.dumps(content))
    with pytest.raises(pages.ReportError) as error:
        pages.read(file)
    assert str(error.value).startswith(f"{file}: {message}")


@pytest.mark.parametrize("name", ["format", "results", "machine", "rivals", "threads"])
def test_a_missing_field_is_named(content, name):
    del content[name]
    with pytest.raises(pages.ReportError, match=f"^{name}: missing$"):
        pages.parse(content)


def test_files_that_are_no_report_are_refused(content, tmp_path):
    file = tmp_path / "run.json"
    whole = json.dumps(content).encode()
    file.write_bytes(whole)
    assert len(pages.read(file).results) == len(content["results"])
    for end in range(0, len(whole), len(whole) // 40):
        file.write_bytes(whole[:end])
        with pytest.raises(pages.ReportError, match=r"expected JSON: .*cut off"):
            pages.read(file)
    for content in (b"\x00\xff\xfe", b"[1, 2]", b"null", b"[" * 100_000, b"1" * 5000, b"\xff" * 9):
        file.write_bytes(content)
        with pytest.raises(pages.ReportError, match="expected"):
            pages.read(file)
    with pytest.raises(pages.ReportError, match="cannot be read: No such file"):
        pages.read(tmp_path / "none.json")
    with pytest.raises(pages.ReportError, match="cannot be read"):
        pages.read(tmp_path)


def test_unknown_fields_are_left_out(content):
    expected = pages.parse(content)
    for path in ((), R0, (*R0, "case"), TORCH, ("rivals", "torch"), ("scaling", 0)):
        change(content, (*path, "new field"), {"anything": [1]})
    assert pages.parse(content) == expected


def places(value, path=()):
    """Yield the paths of all values within some content."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in entries:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def test_any_value_anywhere_is_refused_or_shown(content):
    rng = random.Random(3)
    values = [None, True, -1, 0, 3, 1e-300, 1e300, float("nan"), 10**30, "", "x", [], [[]], {},
              [{}], {"a": {}}]  # fmt: skip
    refused = 0
    paths = [*places(content)]
    for _ in range(200):
        changed = copy.deepcopy(content)
        change(changed, rng.choice(paths), rng.choice(values))
        try:
            page_of(changed)
            pages.markdown_table(pages.parse(changed))
        except pages.ReportError:
            refused += 1
    assert 60 < refused < 200


def test_a_planted_regression_is_found_and_noise_is_not(content):
    before, after = content, copy.deepcopy(content)
    rng = random.Random(5)
    for result in after["results"]:
        for candidate in result["candidates"].values():
            scale_times(candidate, rng.uniform(0.99, 1.01))
    changes = pages.compare(pages.parse(before), pages.parse(after))
    assert len(changes) == 4 + sum(len(r["candidates"]) for r in before["results"])
    assert not any(change.verdict for change in changes)
    assert not pages.has_regression(changes)
    scale_times(after["results"][2]["candidates"]["fastrnn"], 1.3)
    scale_times(after["results"][3]["candidates"]["fastrnn"], 0.7)
    scale_times(after["results"][4]["candidates"]["torch"], 1.5)
    changes = pages.compare(pages.parse(before), pages.parse(after))
    regressions = [change for change in changes if change.is_regression]
    assert [change.case.B for change in regressions] == [128]
    assert regressions[0].ratio == pytest.approx(1.3, abs=0.02)
    assert {(c.candidate, c.verdict) for c in changes if c.verdict} == {
        ("fastrnn", "slower"), ("fastrnn", "faster"), ("torch", "slower")
    }  # fmt: skip
    assert [c.ratio for c in changes] == sorted((c.ratio for c in changes), reverse=True)


def test_a_slower_rival_is_no_regression_and_wide_quartiles_are_none(content):
    after = copy.deepcopy(content)
    scale_times(after["results"][0]["candidates"]["keras"], 2.0)
    ours = after["results"][1]["candidates"]["fastrnn"]
    ours["ms"], ours["high_ms"] = 1.3 * ours["ms"], 1.4 * ours["high_ms"]  # low stays
    assert not pages.has_regression(pages.compare(pages.parse(content), pages.parse(after)))
    tiny = after["results"][2]["candidates"]["fastrnn"]
    for candidate in (content["results"][2]["candidates"]["fastrnn"], tiny):
        candidate["low_ms"] = candidate["high_ms"] = candidate["ms"]
    scale_times(tiny, 1.02)
    assert not pages.has_regression(pages.compare(pages.parse(content), pages.parse(after)))


def test_a_regression_with_threads_is_found(content):
    after = copy.deepcopy(content)
    scale_times(after["scaling"][0]["threads"][3], 2.0)
    first = pages.compare(pages.parse(content), pages.parse(after))[0]
    assert first.is_regression
    assert first.name == "fastrnn, threads: 8"


def test_what_else_is_different_is_warned_of(content):
    assert comparison.cautions(pages.parse(content), pages.parse(content)) == []
    after = copy.deepcopy(content)
    after |= {"threads": 4, "pinning": None}
    after["machine"]["processor"] = "another"
    del after["versions"]["numpy"]
    after["rivals"]["torch"]["versions"]["torch"] = "3.0"
    for result in after["results"]:
        result["peak_gflops"] *= 0.8
        for name, candidate in result["candidates"].items():
            scale_times(candidate, 1.0 if name == "fastrnn" else 1.25)
    found = "\n".join(comparison.cautions(pages.parse(content), pages.parse(after)))
    for words in ("threads: 2 before, 4 after", "pinning: 0,1 before, none after",
                  "processor: Synthetic CPU 9000 before, another after",
                  "numpy: 2.4.0 before, not given after", "torch: 2.13.0 before, 3.0 after",
                  "arithmetic peak:", "the rivals take 1.25 times as long"):  # fmt: skip
        assert words in found
    del after["results"][0]
    assert comparison.unmatched(pages.parse(content), pages.parse(after)) == [
        f"only before: {heading_of(content['results'][0]['case'])}"
    ]


@pytest.mark.parametrize("name", ["even-50x1x64x128", "[red]name[/]"])
def test_comparison_is_printed(content, name):
    content["results"][0]["case"]["name"] = name
    after = copy.deepcopy(content)
    console = Console(width=200, record=True, file=io.StringIO())
    assert pages.print_comparison(console, pages.parse(content), pages.parse(after)) is False
    assert "0 of 13 slower, 0 faster" in console.export_text()
    scale_times(after["results"][0]["candidates"]["fastrnn"], 1.4)
    after["versions"]["numpy"] = "3.0"
    assert pages.print_comparison(console, pages.parse(content), pages.parse(after)) is True
    text = console.export_text()
    assert "warning: version of numpy: 2.4.0 before, 3.0 after" in text
    (row,) = (line for line in text.splitlines() if name in line)
    assert row.split()[-2:] == ["1.40", "slower"]


def test_markdown_has_the_ratio_of_the_best_rival(content):
    content["results"] = [r for r in content["results"] if r["case"]["group"] == "even"]
    for result in content["results"]:
        for rival in {*result["candidates"]} - {"fastrnn"}:
            set_ratio(result, rival, 2.0 if rival == "torch" else 4.0)
        result["candidates"]["fastrnn"]["share"] = 0.75
    set_ratio(content["results"][0], "keras", 0.5)
    content["results"][1]["case"]["name"] = "a|b <i>*c*"
    lines = pages.markdown_table(pages.parse(content)).splitlines()
    assert lines[0] == "| workload | T, B, I, H | lstm forward | lstm training |"
    assert lines[2] == "| even-50x1x64x128 | 50, 1, 64, 128 | **0.500** (75%) | 2.00 (75%) |"
    assert lines[3].startswith(r"| a\|b &lt;i&gt;\*c\* | 50, 16, 64, 128 | 2.00 (75%) |  |")
    assert lines[-1] == "| geometric mean, lowest |  | 1.26, 0.500 | 2.00, 2.00 |"
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert columns == {5}
