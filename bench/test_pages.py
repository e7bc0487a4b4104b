"""The report of the suite: what a file holds is on the page, whatever the file holds."""

import random
import re
import sys
from html.parser import HTMLParser

import pytest

from bench import pages
from bench.pages import charts, page, summary

CELLS = ("lstm", "gru", "rnn", "lstmp")
SHAPES = ((80, 32, 128, 128), (80, 128, 100, 64), (28, 128, 28, 128), (50, 64, 256, 256),
          (100, 64, 512, 512), (100, 1, 128, 128), (200, 16, 64, 32))  # fmt: skip
RIVALS = ("torch", "onnxruntime", "keras")
PEAK, BANDWIDTH = 486.3, 31.7


def synthetic_case(cell="lstm", pass_="forward", shape=SHAPES[0], **changes):
    T, B, I, H = shape
    case = {"name": f"even-{T}x{B}x{I}x{H}", "group": "even", "kind": "layer", "cell": cell,
            "pass": pass_, "T": T, "B": B, "I": I, "H": H, "layers": 1, "directions": 1,
            "lengths": "even", "dtype": "float32", "vocabulary": None}  # fmt: skip
    return case | changes


def synthetic_cases(cells, shapes):
    """Single layers of all cells, a stream, a whole training step, unequal lengths."""
    layers = [
        synthetic_case(c, p, s) for c in cells for p in ("forward", "training") for s in shapes
    ]
    others = [
        synthetic_case(shape=(100, 1, 128, 128), name="stream-128", group="stream", kind="stream"),
        synthetic_case("gru", "training", (64, 32, 64, 256), name="step-characters", group="step",
                       kind="step", layers=2, vocabulary=65),
        synthetic_case("lstm", "training", SHAPES[0], name="uniform-80", group="uniform",
                       lengths="uniform", directions=2),
    ]  # fmt: skip
    return layers + others


def synthetic_candidate(rng, ms, operations, ratio=None):
    rounds = [ms * rng.uniform(0.98, 1.04) for _ in range(9)]
    ordered = sorted(rounds)
    gflops = operations / (1e6 * ordered[4])
    found = {
        "ms": ordered[4], "low_ms": ordered[2], "high_ms": ordered[6], "rounds_ms": rounds,
        "gflops": gflops, "share": gflops / PEAK, "error": rng.uniform(1e-7, 9e-7),
        "first_call_s": rng.uniform(0.2, 6.0), "peak_rss_mb": rng.uniform(80.0, 900.0),
        "energy_j": None, "variant": "",
    }  # fmt: skip
    if ratio is not None:
        found |= {"ratio": ratio, "ratio_low": 0.97 * ratio, "ratio_high": 1.03 * ratio}
    return found


def synthetic_result(rng, case, rivals):
    gates = {"lstm": 4, "lstmp": 4, "gru": 3, "rnn": 1}.get(case["cell"], 2)
    T, B, I, H = (case[name] for name in "TBIH")
    operations = 2 * T * B * gates * H * (I + H) * (3 if case["pass"] == "training" else 1)
    ms = operations / (1e6 * PEAK * rng.uniform(0.4, 0.95))
    candidates = {"fastrnn": synthetic_candidate(rng, ms, operations)}
    refused = {}
    for k, rival in enumerate(rivals):
        if rival == "onnxruntime" and case["pass"] == "training":
            refused[rival] = "no training"
            continue
        ratio = rng.uniform(0.9, 1.6) * (1.0 + k)
        candidates[rival] = synthetic_candidate(rng, ms * ratio, operations, ratio)
        candidates[rival]["variant"] = rng.choice(["", "compiled", "padded"])
    return {"case": case, "operations": operations, "bytes": 4 * T * B * (I + H) + 16 * H * (I + H),
            "peak_gflops": PEAK * rng.uniform(0.97, 1.0), "bandwidth_gb_s": BANDWIDTH,
            "candidates": candidates, "refused": refused}  # fmt: skip


def synthetic_scaling(case):
    points = [
        {"threads": n, "ms": 40.0 / n**0.9, "low_ms": 39.0 / n**0.9, "high_ms": 42.0 / n**0.9,
         "gflops": 10.0 * n, "peak_gflops": 240.0 * n, "predicted_ms": 40.0 / n**0.95,
         "plan": f"layer 1\n{n} ranges of rows"}
        for n in (1, 2, 4, 8)
    ]  # fmt: skip
    return {"case": case, "threads": points}


def synthetic_report(cells=CELLS[:2], shapes=SHAPES[:3], *, rivals=RIVALS, seed=1):
    """Return a whole file of made-up figures, the same ones for a seed."""
    rng = random.Random(seed)
    cases = synthetic_cases(cells, shapes)
    return {
        "format": "fastrnn bench 1",
        "date": "2026-11-28T21:14:03+00:00",
        "machine": {"processor": "Synthetic CPU 9000", "cores": 2, "caches_kb": [32, 1024, 36608]},
        "versions": {"fastrnn": "0.9.0", "numpy": "2.4.0", "torch": "2.13.0"},
        "threads": 2,
        "pinning": "0,1",
        "settings": {"rounds": 9, "command": "fastrnn bench --json made-up.json"},
        "rivals": {
            "torch": {"status": "measured", "versions": {"torch": "2.13.0"},
                      "threads": "torch.set_num_threads", "denormals": "flushed"},
            "onnxruntime": {"status": "measured", "versions": {"onnxruntime": "1.24"},
                            "threads": "intra_op_num_threads"},
            "keras": {"status": "measured", "versions": {"keras": "3.15", "tensorflow": "2.21"},
                      "threads": "its own pools"},
            "jax": {"status": "missing", "install": "jax"},
            "openvino": {"status": "not asked", "install": "openvino"},
        },
        "results": [synthetic_result(rng, case, rivals) for case in cases],
        "scaling": [synthetic_scaling(synthetic_case(shape=SHAPES[0]))],
    }  # fmt: skip


def small_report():
    """Return layers of three batch sizes, a stream, a whole step, unequal lengths."""
    return synthetic_report(("lstm",), [(50, batch, 64, 128) for batch in (1, 16, 128)])


@pytest.fixture
def content():
    """Give every test its own small report."""
    return small_report()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Write a whole report, a rival ahead in one case, and its baseline."""
    pytest.importorskip("matplotlib")
    now = small_report()
    now["results"] = now["results"][:3] + now["results"][6:8]  # one picture of each kind
    set_ratio(now["results"][0], "torch", 0.8)
    now["results"][1]["candidates"]["keras"] |= {
        "energy_j": 12.5, "variant": "jit", "variants": {"jit": 3.25, "eager": 7.75}
    }  # fmt: skip
    before = small_report()
    scale_times(before["results"][2]["candidates"]["fastrnn"], 0.5)
    folder = tmp_path_factory.mktemp("site") / "new" / "folder"
    index = pages.write_report(pages.parse(now), folder, pages.parse(before))
    assert index == folder / "index.html"
    return now, folder


def set_ratio(result, rival, ratio):
    result["candidates"][rival] |= {
        "ratio": ratio, "ratio_low": 0.99 * ratio, "ratio_high": 1.01 * ratio
    }  # fmt: skip


def scale_times(candidate, factor):
    for name in ("ms", "low_ms", "high_ms"):
        candidate[name] *= factor


class Page(HTMLParser):
    """Texts, tables and pictures of a page; every element has to be closed in its place."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.tags = [], [], []
        self.rows, self.pictures, self.links, self.anchors = [], [], [], []
        self.sections = {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):  # noqa: D102
        found = dict(attributes)
        assert not any(name.startswith("on") for name in found)
        self.tags.append(tag)
        if tag in ("img", "source"):
            self.pictures.append(found)
        if "id" in found:
            self.anchors.append(found["id"])
        if "href" in found:
            self.links.append(found["href"])
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
        if tag not in ("img", "source", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):  # noqa: D102
        assert self.open.pop() == tag

    def handle_data(self, data):  # noqa: D102
        self.texts.append(data)
        if "tr" in self.open:
            self.rows[-1][-1] += data

    @property
    def text(self):
        """All texts, one on each line."""
        return "\n".join(self.texts)

    def candidates(self, heading):
        """Return the last rows that stand below a case, by candidate."""
        starts = [k for k, row in enumerate(self.rows) if row[0].startswith(heading)]
        found = {}
        for row in self.rows[starts[-1] + 1 :]:
            if len(row) == 1:
                break
            found[row[0]] = row[1:]
        return found


def page_of(content, baseline=None):
    """Return the page, whose pictures are not drawn."""
    report = pages.parse(content)
    baseline = None if baseline is None else pages.parse(baseline)
    return Page(page.page(report, charts.charts(report), baseline))


def shows(cells, value):
    """Return whether a number is in the cells, to half a percent."""
    numbers = [float(n) for cell in cells for n in re.findall(r"\d+\.?\d*(?:e[-+]\d+)?", cell)]
    return any(number == pytest.approx(value, rel=5.1e-3) for number in numbers)


def heading_of(case):
    task = case["pass"] if case["kind"] == "layer" else f"{case['pass']}, {case['kind']}"
    return f"{case['name']}, {case['cell']} {task}"


def test_every_figure_is_on_the_page(site):
    content, folder = site
    found = Page((folder / "index.html").read_text())
    for result in content["results"]:
        rows = found.candidates(heading_of(result["case"]))
        for name, candidate in result["candidates"].items():
            figures = {k: v for k, v in candidate.items() if isinstance(v, float)}
            figures["share"] *= 100.0
            figures["error"] = float(f"{figures['error']:.1e}")
            for key, value in figures.items():
                assert shows(rows[name], value), f"{name} {key} {value}: {rows[name]}"
        for name, reason in result["refused"].items():
            assert reason in rows[name][0]
        for size in (result["operations"] / 1e6, result["bytes"] / 1e6, result["peak_gflops"]):
            assert shows(found.texts, size)
    for point in content["scaling"][0]["threads"]:
        plan = f"layer 1; {point['threads']} ranges of rows"
        (row,) = (r for r in found.rows if r[-1] == plan)
        for key in ("threads", "ms", "low_ms", "high_ms", "gflops", "predicted_ms"):
            assert shows(row, point[key]), key
    assert "Tried: jit 3.25 ms, eager 7.75 ms" in found.text
    assert "12.5" in found.text


def test_machine_versions_settings_and_command_are_on_the_page(content):
    text = page_of(content).text
    for value in (*content["versions"].values(), "Synthetic CPU 9000", "32, 1024, 36608",
                  content["settings"]["command"], "0,1", "2026-11-28 21:14 UTC", content["date"],
                  "pip install jax", "torch.set_num_threads", "flushed", "not asked"):  # fmt: skip
        assert value in text, value
    assert "pip install openvino" not in text  # it was not asked for


def test_links_lead_somewhere_and_nothing_comes_from_elsewhere(site):
    found = Page((site[1] / "index.html").read_text())
    assert found.links
    assert {*found.links} <= {f"#{name}" for name in found.anchors}
    assert len({*found.anchors}) == len(found.anchors)
    assert not {"script", "link", "iframe"} & {*found.tags}


def test_pictures_are_there_and_as_large_as_the_page_says(site):
    from matplotlib.image import imread

    _, folder = site
    found = Page((folder / "index.html").read_text())
    names = [entry.get("src") or entry.get("srcset") for entry in found.pictures]
    assert len(names) == 2 * (3 + 3 + 1 + 1 + 1)
    assert {*names} | {"overview.png", "overview-dark.png"} == {
        p.name for p in folder.glob("*.png")
    }
    for entry in found.pictures:
        if "src" in entry:
            assert entry["alt"]
            picture = imread(folder / entry["src"])
            assert picture.shape[1::-1] == pytest.approx(
                (int(entry["width"]), int(entry["height"])), abs=1
            )
            assert picture[..., :3].std() > 0.01
    light, dark = (imread(folder / f"overview{end}.png") for end in ("", "-dark"))
    assert light[0, 0, 0] == 1.0
    assert dark[0, 0, 0] < 0.2
    assert not [
        path.name for path in folder.iterdir() if path.suffix not in (".png", ".html", ".md")
    ]


def test_where_a_rival_is_faster_comes_first(content):
    for result in content["results"]:
        for rival in {*result["candidates"]} - {"fastrnn"}:
            set_ratio(result, rival, 1.5)
    set_ratio(content["results"][4], "keras", 0.9)
    set_ratio(content["results"][1], "torch", 0.7)
    content["results"][4]["candidates"]["keras"]["ratio_high"] = 1.2
    found = page_of(content)
    start = found.text.index("Where a rival is faster", found.text.index("measured in turns"))
    section = found.text[start : found.text.index("\nWho took part", start)]
    names = [heading_of(content["results"][k]["case"]) for k in (1, 4)]
    assert section.index(names[0]) < section.index("torch") < section.index(names[1])
    assert "0.700" in section and "yes" in section
    assert "0.900" in section and "no, 1 is within" in section
    assert "1.50" not in section
    set_ratio(content["results"][1], "torch", 1.1)
    set_ratio(content["results"][4], "keras", 1.1)
    assert "No rival is faster in any case." in page_of(content).text


def test_means_are_geometric_and_over_the_best_rival(content):
    content["results"] = content["results"][:2]  # forward, two batch sizes
    for result, ratios in zip(content["results"], ((2.0, 8.0), (8.0, 0.5)), strict=True):
        del result["candidates"]["keras"]
        for rival, ratio in zip(("torch", "onnxruntime"), ratios, strict=True):
            set_ratio(result, rival, ratio)
    (mean,) = summary.means(pages.parse(content))
    assert (mean.task, mean.cell, mean.cases, mean.slower) == ("forward", "lstm", 2, 1)
    assert mean.best == pytest.approx(1.0)
    assert mean.lowest == 0.5
    assert mean.rivals == pytest.approx({"torch": 4.0, "onnxruntime": 2.0})


def test_wrong_answers_are_on_the_page(content):
    assert "Wrong answers" not in page_of(content).text
    case = synthetic_case("gru", "training")
    content["wrong"] = [{"case": case, "candidate": "torch", "reason": "dW0 off by 3e-2"}]
    text = page_of(content).text
    assert "Wrong answers" in text
    assert "dW0 off by 3e-2" in text


HOSTILE = (
    "$\\frac{$ \"'><script>alert(1)</script> & <b [red] | _\u202e\ud800\x1b[31m\n\u65e5" + 90 * "x"
)


def hostile(value, keep=("fastrnn", "format")):
    """Return the same content with all free texts and names replaced."""
    fixed = {"kind", "pass", "lengths", "format"}
    if isinstance(value, dict):
        return {
            (key if key in keep or not is_name(value) else f"_{key}{HOSTILE}"): (
                inner if key in fixed else hostile(inner)
            )
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [hostile(entry) for entry in value]
    return HOSTILE if isinstance(value, str) else value


def is_name(mapping):
    """Return whether the keys are names, not fields."""
    return not {"case", "cell", "ms", "date", "status", "format"} & {*mapping}


def test_hostile_texts_change_nothing_around_them(content):
    found = page_of(hostile(content), hostile(synthetic_report()))
    assert not {"script", "b [red]"} & {*found.tags}
    assert "<script>alert(1)</script>" in found.text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\ud800\u202e]", found.text)


@pytest.mark.parametrize("rivals", [(), ("torch",)])
def test_a_run_that_was_broken_off_makes_a_page(content, rivals, tmp_path):
    pytest.importorskip("matplotlib")
    content["results"] = content["results"][: len(rivals)]
    content |= {"rivals": {}, "scaling": [], "machine": {}, "settings": {}, "pinning": None}
    for result in content["results"]:
        result["candidates"] = {"fastrnn": result["candidates"]["fastrnn"]}
    pages.write_report(pages.parse(content), tmp_path)
    assert "Nothing was compared with a rival." in (tmp_path / "index.html").read_text()
    assert "Nothing was compared" in pages.markdown_table(pages.parse(content))
    assert not (tmp_path / "overview.png").exists()


def test_without_matplotlib_the_error_names_the_extra(content, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"fastrnn\[plot\]"):
        pages.write_report(pages.parse(content), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_page_tells_what_changed(site):
    _, folder = site
    found = Page((folder / "index.html").read_text())
    assert "fastrnn: 1 of 9 slower" in found.text
    (row,) = (row for row in found.rows if row[-1] == "slower")
    assert row[0] == "fastrnn"
    assert row[5] == "2.00"


def test_markdown_has_a_table_for_each_group(site):
    content, folder = site
    text = (folder / "table.md").read_text()
    assert text == pages.markdown_table(pages.parse(content))
    assert re.findall(r"^\*\*(.*)\*\*$", text, re.M) == ["even", "stream", "step"]
