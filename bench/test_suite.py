"""Rivals compute what the reference says, for every kind of case; and so do we."""

import pytest

from . import cases, library, meters, suite
from .cases import Case
from .record import Record
from .rivals import RIVALS

QUICK = suite.Settings(rounds=2, seconds=1e-3)

SIZES = {"T": 6, "B": 5, "I": 7, "H": 20}
KINDS = {
    "layer": {},
    "two layers, both ways": {"layers": 2, "directions": 2},
    "lengths": {"lengths": "uniform"},
    "lengths, both ways": {"lengths": "lognormal", "directions": 2},
    "double": {"dtype": "float64", "layers": 2},
    "stream": {"kind": "stream", "layers": 2},
    "step": {"kind": "step", "layers": 2, "vocabulary": 11},
}

# What a rival cannot do at all: kinds of cases, and reasons.
REFUSED = {
    "torch.compile": dict.fromkeys(KINDS, "leaves recurrent layers alone"),
    "onednn": dict.fromkeys(
        ("two layers, both ways", "lengths", "lengths, both ways", "double"), "float32 only"
    ),
    "onnxruntime": {"double": "no recurrent layers in float64"},
}
for kind in ("stream", "step"):
    del REFUSED["torch.compile"][kind]


class Quiet:
    """Shows nothing."""

    def __getattr__(self, name):
        return lambda *arguments, **named: None


def make_case(kind, cell, pass_):
    case = Case(kind, "test", "layer", cell, pass_, **SIZES)
    return case._replace(**KINDS[kind])


@pytest.fixture(scope="module", params=RIVALS)
def running(request):
    """Start the suite with one rival; return its name, the suite, and the record."""
    if not RIVALS[request.param].is_installed():
        pytest.skip(f"{request.param} is not installed")
    record = Record(None, threads=2, settings={})
    threads = min(2, len(meters.processors()))
    with suite.Suite([request.param], record, threads, QUICK) as running:
        yield request.param, running, record


@pytest.mark.parametrize("cell", cases.USUAL_CELLS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_rival_computes_what_it_should(running, kind, cell):
    rival, running, record = running
    passes = {"stream": ["forward"], "step": ["training"]}.get(kind, cases.PASSES)
    record.content["results"].clear()
    assert running.run([make_case(kind, cell, p) for p in passes], Quiet()), record.content["wrong"]
    for pass_, result in zip(passes, record.content["results"], strict=True):
        reason = result["refused"].get(rival)
        if rival == "onednn" and cell != "lstm":
            assert reason == "torch reaches oneDNN's LSTM only"
        elif rival == "onednn" and pass_ == "training":
            assert "not for training" in reason
        elif rival == "onnxruntime" and pass_ == "training":
            assert reason == "ONNX Runtime's package does not train"
        elif kind in REFUSED.get(rival, {}):
            assert reason.endswith(REFUSED[rival][kind])
        else:
            assert reason is None
            found = result["candidates"][rival]
            assert found["error"] < 5e-5
            assert found["variants"]


@pytest.mark.parametrize("cell", [cell for cell in cases.CELLS if cell not in cases.USUAL_CELLS])
def test_rivals_that_lack_a_cell_say_so(running, cell):
    rival, running, record = running
    record.content["results"].clear()
    assert running.run([make_case("layer", cell, "training")], Quiet()), record.content["wrong"]
    (result,) = record.content["results"]
    assert 0 < result["candidates"]["fastrnn"]["error"] < 5e-5
    if rival == "keras" and cell == "gru_reset_before":
        assert result["candidates"]["keras"]["error"] < 5e-5
    else:
        assert result["refused"][rival]


def test_a_rival_whose_process_ends_is_left_out(monkeypatch, tmp_path):
    (tmp_path / "dying_rival.py").write_text(
        "import os\n"
        "def use_threads(number): pass\n"
        "def prepare(case):\n"
        "    print('the last words', flush=True)\n"
        "    os._exit(3)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    dying = RIVALS["numpy"]._replace(module="dying_rival")
    absent = RIVALS["numpy"]._replace(module="no_such_module")
    monkeypatch.setattr(suite, "RIVALS", {"dying": dying, "absent": absent})
    record = Record(None, threads=1, settings={})
    with suite.Suite(["dying", "absent"], record, 1, QUICK) as running:
        assert running.rivals == ["dying"]
        assert running.run([make_case("layer", "gru", "forward")] * 2, Quiet())
    first, second = record.content["results"]
    assert first["refused"]["dying"].endswith("its process has ended: the last words")
    assert second["refused"] == {}
    states = record.content["rivals"]
    assert states["dying"]["status"] == states["absent"]["status"] == "failed"
    assert "no_such_module" in states["absent"]["reason"]


def test_our_own_library_must_solve_every_case(monkeypatch, tmp_path):
    (tmp_path / "failing_kernel.py").write_text(
        "def use_threads(number): pass\ndef prepare(case):\n    return {'': lambda: 1 / 0}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    failing = library.OURS_ENTRY._replace(module="failing_kernel")
    monkeypatch.setattr(suite, "OURS_ENTRY", failing)
    record = Record(None, threads=1, settings={})
    with suite.Suite([], record, 1, QUICK) as running:
        assert not running.run([make_case("layer", "gru", "forward")], Quiet())
    (wrong,) = record.content["wrong"]
    assert wrong["reason"] == "ZeroDivisionError: division by zero"
