"""`fastrnn explain` names the plan that the engine follows."""

import numpy as np
import pytest

from fastrnn import get_num_threads
from fastrnn.cli import main
from fastrnn.kernels.cpu import plan
from fastrnn.simd.target import lanes_of

SIZES = ["--T", "50", "--B", "64", "--I", "256", "--H", "256"]


def test_the_plan_of_this_machine_is_explained(capsys):
    assert main(["explain", *SIZES]) == 0
    output = capsys.readouterr().out
    loop = plan.Loop(50, 64, 50 * 64, 256, 256, 4, plan_panels(256), 4)
    chosen = plan.plan(loop)
    assert output.startswith(f"{chosen.workers} of {get_num_threads()} workers: the batch of 64")
    assert "x @ W is made within the loop" in output
    assert "expected of the forward loop" in output


def plan_panels(H):
    return -(-H // lanes_of(np.dtype(np.float32)))


@pytest.mark.parametrize("threads", ["1", "2", "16", "128"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_any_machine_can_be_planned_for(capsys, cell, threads):
    sizes = ["--T", "100", "--B", "1", "--I", "128", "--H", "512"]
    assert main(["explain", "--cell", cell, "--threads", threads, *sizes]) == 0
    output = capsys.readouterr().out
    assert f" of {threads} workers" in output
    assert ("meet after every step" in output) == (threads != "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*SIZES, "--cell", "gnu"], "--cell: expected "),
        (["--T", "0", *SIZES[2:]], "--T: expected at least 1, got 0"),
        ([*SIZES, "--threads", "0"], "--threads: expected at least 1, got 0"),
        (SIZES[:-2], "--H"),
        (["--T", "x", *SIZES[2:]], "--T"),
    ],
)
def test_bad_input_is_named_in_one_line(capsys, arguments, message):
    assert main(["explain", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("fastrnn: error: ")
    assert message in error
    assert error.count("\n") == 1
