"""`fastrnn bench`: right numbers first, then figures; a file that grows; errors in one line."""

import json
import math
import sys

import pytest

from fastrnn import get_num_threads
from fastrnn.cli import bench, main
from fastrnn.cli.error import CommandError

NAMES = ("bench", "--rounds", "2", "--cases", "tiny", "--rivals", "numpy")


@pytest.fixture
def suite(monkeypatch):
    """Parts of the suite by name, with a workload that takes no time."""

    def part(name):
        return bench._part(name)

    cases = part("cases")
    tiny = cases.Case("tiny", "tiny", "layer", "lstm", "forward", 5, 3, 4, 16)
    monkeypatch.setattr(cases, "WORKLOADS", (tiny,))
    monkeypatch.setattr(part("meters"), "_BANDWIDTH_BYTES", 1 << 20)
    return part


def test_ours_and_a_rival_are_compared_and_written_down(call, suite, tmp_path, monkeypatch):
    rivals = suite("rivals").RIVALS
    missing = rivals["torch"]._replace(packages=("no_such_package",), install="no-such-project")
    monkeypatch.setitem(rivals, "torch", missing)
    path = tmp_path / "out.json"
    done = call(*NAMES, "torch", "--cells", "gru", "--threads", 1, "--json", path)
    assert done.status == 0, done.err
    assert "torch is missing; pip install no-such-project" in done.out
    rows = [line.split() for line in done.out.splitlines() if line.startswith("tiny")]
    assert [row[1:3] for row in rows] == [["gru", "forward"], ["gru", "training"]]
    content = json.loads(path.read_text("utf-8"))
    assert content["format"] == "fastrnn bench 1"
    assert content["threads"] == 1
    assert content["wrong"] == []
    assert content["settings"]["command"] == (
        "fastrnn bench --cases tiny --cells gru --rivals numpy torch --rounds 2 --threads 1"
    )
    assert content["rivals"]["numpy"]["status"] == "measured"
    assert content["rivals"]["torch"] == {"status": "missing", "install": "no-such-project"}
    assert content["rivals"]["jax"] == {"status": "not asked"}
    for row, result in zip(rows, content["results"], strict=True):
        ours, rival = result["candidates"]["fastrnn"], result["candidates"]["numpy"]
        assert float(row[7]) == pytest.approx(ours["ms"], abs=1e-3)
        assert row[-1].rstrip("<") == f"{rival['ratio']:.2f}"
        assert rival["ratio_low"] <= rival["ratio"] <= rival["ratio_high"]
        for found in (ours, rival):
            assert 0 < found["low_ms"] <= found["ms"] <= found["high_ms"]
            assert len(found["rounds_ms"]) == 2
            assert 0 < found["error"] < 1e-5
            assert found["first_call_s"] > 0
            assert found["peak_rss_mb"] > 10
            gflops = result["operations"] / found["ms"] / 1e6
            assert found["gflops"] == pytest.approx(gflops)
            assert found["share"] == pytest.approx(gflops / result["peak_gflops"])
            assert found["energy_j"] is None or math.isfinite(found["energy_j"])
    forward, training = content["results"]
    assert forward["operations"] == 2 * 5 * 3 * 3 * 16 * (4 + 16)
    assert training["operations"] == 3 * forward["operations"]
    assert len(list(tmp_path.iterdir())) == 1  # no temporary file is left


BROKEN = """
from bench import ours
from bench.ours import use_threads

def prepare(case):
    ways = ours.prepare(case).items()
    return {name: lambda make=make: spoilt(case, make()) for name, make in ways}

def spoilt(case, candidate):
    def outputs(result):
        outputs = candidate.outputs(result)
        if case.cell == "lstm" and "dR0" in outputs:
            outputs["dR0"] = outputs["dR0"] * 1.001
        return outputs
    return candidate._replace(outputs=outputs)
"""


def test_a_wrong_candidate_gets_no_figures(call, suite, tmp_path, monkeypatch):
    (tmp_path / "broken_kernel.py").write_text(BROKEN)
    (tmp_path / "broken_rival.py").write_text(BROKEN.replace("lstm", "gru"))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    ours, rivals = suite("library").OURS_ENTRY, suite("rivals").RIVALS
    monkeypatch.setattr(suite("suite"), "OURS_ENTRY", ours._replace(module="broken_kernel"))
    monkeypatch.setitem(rivals, "numpy", rivals["numpy"]._replace(module="broken_rival"))
    path = tmp_path / "out.json"
    done = call(*NAMES, "--cells", "lstm", "gru", "--json", path)
    assert done.status == 1
    assert "no figures: fastrnn is wrong: dR0: off by" in done.out
    assert "no figures: numpy is wrong: dR0: off by" in done.out
    content = json.loads(path.read_text("utf-8"))
    wrong = [(w["candidate"], w["case"]["cell"], w["case"]["pass"]) for w in content["wrong"]]
    assert wrong == [("fastrnn", "lstm", "training"), ("numpy", "gru", "training")]
    assert all(w["reason"].startswith("dR0: off by") for w in content["wrong"])
    assert [r["case"]["pass"] for r in content["results"]] == ["forward"] * 2  # it has no dR0


def test_no_case_is_begun_when_time_is_up(call, suite, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "_QUICK_SECONDS", 0.0)
    done = call(*NAMES, "--quick", "--json", tmp_path / "out.json")
    assert done.status == 0
    assert "no time for tiny lstm forward, tiny lstm training, tiny gru" in done.out
    content = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert content["results"] == []
    assert content["settings"]["cases without time"] == 4


def test_threads_are_scaled_with_the_plan_beside_them(call, suite, tmp_path):
    path = tmp_path / "out.json"
    done = call(
        "bench", "--threads", 1, "scaling", "--cases", "tiny", "--cells", "lstm",
        "--passes", "forward", "--rounds", 2, "--json", path,
    )  # fmt: skip
    assert done.status == 0, done.err
    (entry,) = json.loads(path.read_text("utf-8"))["scaling"]
    (point,) = entry["threads"]
    assert point["threads"] == 1
    assert point["predicted_ms"] > 0
    assert point["plan"].startswith("1 of 1 workers")
    assert "the plan expects" in done.out


@pytest.mark.parametrize("action", [("--rivals", "numpy"), ("scaling",)])
def test_a_library_of_ours_that_fails_is_named(call, suite, monkeypatch, action):
    library = suite("library")
    absent = library.OURS_ENTRY._replace(module="no_such_kernels")
    for name in ("suite", "scaling"):
        monkeypatch.setattr(suite(name), "OURS_ENTRY", absent)
    done = call("bench", *action, "--cases", "tiny", "--threads", 1)
    assert done.status == 1
    assert "No module named 'no_such_kernels'" in done.err


def test_cases_and_rivals_are_listed(call):
    done = call("bench", "--list")
    assert done.status == 0
    for name in ("imdb", "ptb-large", "stream-128", "step-ptb-small", "long-10000x1x32x64", "jax"):
        assert name in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cases", "nonsense"], "--cases: expected "),
        (["--cells", "gnu"], "--cells: expected "),
        (["--passes", "backward"], "--passes: expected forward, training; got 'backward'"),
        (["--cases", "stream", "--passes", "training"], "--passes: no training in stream"),
        (["--rivals", "caffe"], "--rivals: expected numpy, torch"),
        (["--quick", "scaling"], "--rivals, --quick, --list: not for scaling"),
        (["--rounds", "1"], "--rounds: expected at least 2, got 1"),
        (["--threads", "0"], "--threads: expected 1 to "),
        (["--threads", "100000"], "--threads: expected 1 to "),
        (["--cases", "imdb", "--json", "/no/such/folder/out.json"], "/no/such/folder/out.json"),
    ],
)
def test_bad_input_is_named_in_one_line(call, words, message):
    done = call("bench", *words)
    assert done.status == 2
    assert done.err.startswith("fastrnn: error: ")
    assert message in done.err
    assert done.err.count("\n") == 1


def test_pages_and_changes_come_from_the_file(call, suite, tmp_path):
    pytest.importorskip("matplotlib")
    path, pages = tmp_path / "out.json", tmp_path / "pages"
    assert call(*NAMES, "--cells", "rnn", "--passes", "forward", "--json", path).status == 0
    done = call("bench", "report", path, "--out", pages)
    assert done.status == 0, done.err
    assert done.out.strip() == str(pages / "index.html")
    assert "tiny" in (pages / "index.html").read_text("utf-8")
    assert call("bench", "compare", path, path).status == 0
    content = json.loads(path.read_text("utf-8"))
    for result in content["results"]:
        ours = result["candidates"]["fastrnn"]
        for name in ("ms", "low_ms", "high_ms"):
            ours[name] *= 10
        ours["rounds_ms"] = [10 * ms for ms in ours["rounds_ms"]]
        for name in ("ratio", "ratio_low", "ratio_high"):
            result["candidates"]["numpy"][name] /= 10
    slower = tmp_path / "slower.json"
    slower.write_text(json.dumps(content))
    assert call("bench", "compare", path, slower).status == 1
    done = call("bench", "report", tmp_path / "none.json")
    assert done.status == 2
    assert "none.json" in done.err


def test_an_installation_without_the_suite_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "_NAME", "fastrnn.no_such_suite")
    monkeypatch.setattr(bench.fastrnn, "__file__", str(tmp_path / "fastrnn" / "__init__.py"))
    with pytest.raises(CommandError, match="the suite is neither installed nor in"):
        bench.package()


def test_threads_are_those_of_the_engine(suite):
    arguments = bench.argparse.Namespace(rounds=None, threads=None)
    assert bench._threads(arguments) == min(get_num_threads(), len(suite("meters").processors()))
    assert main(["bench", "--list"]) == 0
