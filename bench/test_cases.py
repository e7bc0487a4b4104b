"""Names, sizes, data and counts of the cases."""

import numpy as np
import pytest

from fastrnn import reference

from . import cases, data
from .cases import CELLS, Case

SMALL = Case("small", "test", "layer", "gru", "forward", 6, 5, 7, 20)


@pytest.mark.parametrize("name", CELLS)
def test_cells_are_those_of_the_reference(name):
    cell = reference.CELLS[name]
    assert CELLS[name] == (len(cell.INPUT), len(cell.RECURRENT), len(cell.BIAS))


def test_workloads_have_names_of_their_own():
    names = [case.name for case in cases.WORKLOADS]
    assert len({*names, *cases.GROUPS, "all"}) == len(names) + len(cases.GROUPS) + 1
    assert {*cases.QUICK, *cases.USUAL} <= {*names, *cases.GROUPS}


def test_cases_are_selected_by_name_group_cell_and_pass():
    chosen = cases.select(["imdb", "stream"], ["lstm", "rnn"], ["forward"])
    assert {case.group for case in chosen} == {"known", "stream"}
    assert {case.cell for case in chosen} == {"lstm", "rnn"}
    assert len([case for case in chosen if case.name == "imdb"]) == 2
    everything = cases.select(["all"], CELLS, cases.PASSES)
    assert {case.name for case in everything} == {case.name for case in cases.WORKLOADS}


def test_operations_and_bytes_follow_the_sizes():
    assert SMALL.operations() == 2 * 6 * 5 * 3 * 20 * (7 + 20)
    training = SMALL._replace(pass_="training")
    assert training.operations() == 3 * SMALL.operations()
    weights = 3 * 20 * (7 + 20) + 4 * 20
    assert SMALL.bytes() == 4 * (weights + 6 * 5 * (7 + 20))
    assert training.bytes() == 2 * SMALL.bytes()
    stack = SMALL._replace(cell="lstm", layers=2, directions=2)
    assert stack.operations() == 2 * 6 * 5 * 2 * 4 * 20 * (7 + 20 + 40 + 20)
    step = SMALL._replace(kind="step", pass_="training", vocabulary=11)
    assert step.operations() == training.operations() + 3 * 2 * 6 * 5 * 20 * 11


@pytest.mark.parametrize("lengths", ["uniform", "lognormal"])
def test_operations_follow_the_lengths(lengths):
    case = SMALL._replace(lengths=lengths, T=50, B=200)
    steps = case.steps()
    assert steps.shape == (200,)
    assert 1 <= steps.min() < steps.max() == 50
    share = steps.sum() / (50 * 200)
    even = case._replace(lengths="even")
    assert case.operations() == pytest.approx(share * even.operations())


@pytest.mark.parametrize("case", cases.WORKLOADS, ids=str)
def test_numbers_are_far_from_denormal(case):
    """Libraries that flush them to 0, and those that do not, have the same to do."""
    arrays = data.text(case) if case.kind == "step" else data.sequences(case)
    floats = [array for array in arrays if getattr(array, "dtype", None) == case.dtype]
    assert floats
    for array in floats:
        smallest = np.abs(array[array != 0]).min()
        assert smallest > 1e-12
