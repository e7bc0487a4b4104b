"""The comparison itself: rivals compute what we do, wrong answers stop it, figures add up."""

from importlib import metadata

import numpy as np
import pytest
import report
from problems import CELLS, PASSES, Problem, Shape
from recurrent_layers import RIVALS, Comparison, make_problem
from worker import Worker

SMALL = Shape(6, 5, 7, 20)


@pytest.fixture(scope="module", params=RIVALS)
def rival(request):
    packages = RIVALS[request.param].packages
    if not metadata.packages_distributions().keys() >= {*packages}:
        pytest.skip(f"{' and '.join(packages)} not installed")
    return request.param


@pytest.fixture(scope="module")
def comparison(rival):
    with Comparison([rival], threads=2) as comparison:
        yield comparison


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("mode", ["even", "lengths", "bidirectional"])
def test_rivals_compute_what_we_do(comparison, rival, cell, mode):
    # A rival that disagrees raises.  Training covers forward, where there is training.
    pass_ = "forward" if rival == "onnxruntime" else "training"
    row = comparison.run(mode, make_problem(mode, cell, SMALL), pass_, rounds=2)
    assert rival in row.rivals
    assert all(r.ms > 0 and r.low <= r.ratio <= r.high for r in row.rivals.values())
    assert 0 < row.gflops < row.peak_gflops
    assert (row.padded_ms is not None) == (mode == "lengths")


def test_forward_variants_compute_what_we_do(comparison, rival):
    row = comparison.run("even", Problem("lstm", SMALL), "forward", rounds=2)
    assert rival in row.rivals


@pytest.mark.parametrize("pass_", PASSES)
def test_wrong_answers_stop_it(pass_):
    problem = Problem("gru", SMALL)
    with Worker("fastrnn_layers", 2, {}) as ours:
        ours.start_building(problem, pass_, None)
        ours.finish_building()
        ours.choose()
        expected = ours.outputs("ours")
        name = [*expected][-1]
        expected[name] = expected[name] + np.float32(1e-3) * abs(expected[name]).max()
        ours.start_building(problem, pass_, expected)
        with pytest.raises(RuntimeError, match=f"{name} of ours: off by"):
            ours.finish_building()
        ours.start_building(problem, pass_, None)  # it goes on all the same
        ours.finish_building()
        assert ours.choose() == {"ours": ""}


def test_a_process_that_cannot_start_is_named():
    with (
        Worker("no_such_layers", 1, {}) as worker,
        pytest.raises(RuntimeError, match="no_such_layers: its process has ended"),
    ):
        worker.outputs("ours")


def test_operations_follow_the_lengths():
    even, unequal = (Problem("gru", SMALL, has_lengths=flag) for flag in (False, True))
    assert even.operations("forward") == 2 * 6 * 5 * 3 * 20 * (7 + 20)
    assert even.operations("training") == 3 * even.operations("forward")
    share = unequal.lengths().sum() / (6 * 5)
    assert unequal.operations("forward") == pytest.approx(share * even.operations("forward"))
    stack = Problem("lstm", SMALL, layers=2, directions=2)
    assert stack.operations("forward") == 2 * 6 * 5 * 2 * 4 * 20 * (7 + 20 + 40 + 20)


def make_row(ratios, **changes):
    rivals = {
        name: report.Rival(ms=ratio, ratio=ratio, low=0.9 * ratio, high=1.1 * ratio, variant="")
        for name, ratio in ratios.items()
    }
    row = report.Row("even", "lstm", "forward", SMALL, 1.0, 50.0, 100.0, rivals)
    return row._replace(**changes)


def test_several_runs_are_summed_up_by_medians(tmp_path):
    files = []
    for k, ratio in enumerate((0.8, 1.2, 1.0)):
        files.append(tmp_path / f"{k}.json")
        report.save(files[-1], {}, [make_row({"torch": ratio}, ours_ms=2.0 + k)])
    (row,) = report.load(files)
    assert row.ours_ms == 3.0
    assert row.rivals["torch"].ratio == 1.0
    assert row.rivals["torch"].low == pytest.approx(0.72)
    assert report.load(files[:1]) == [make_row({"torch": 0.8}, ours_ms=2.0)]


def test_summary_shows_means_the_worst_and_where_a_rival_is_faster(capsys):
    rows = [
        make_row({"torch": 4.0, "onnxruntime": 2.0}),
        make_row({"torch": 1.0, "onnxruntime": 0.5}, shape=Shape(1, 2, 3, 4)),
    ]
    report.print_table(rows)
    report.print_summary(rows)
    out = capsys.readouterr().out
    words = next(line for line in out.splitlines() if " all " in line).split()
    assert words[:7] == ["even", "forward", "all", "2", "2.00", "1.00", "1.00"]
    assert "0.50 lstm (1, 2, 3, 4), onnxruntime" in out
    slower = out.partition("A rival is faster")[2]
    assert slower.count("ratio") == 1 and "even lstm forward (1, 2, 3, 4): onnxruntime" in slower


def test_lengths_are_compared_with_their_sum(capsys):
    row = make_row({"torch": 4.0, "torch packed": 3.0}, mode="lengths", filled=0.5, padded_ms=1.6)
    report.print_summary([row])
    out = capsys.readouterr().out
    assert "50%    1.25          1.50" in out
    assert "No rival is faster anywhere" in out
