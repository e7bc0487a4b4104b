"""The judge is judged: what `assert_close` must let pass and must not."""

import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, FLOAT64_OUTPUT, assert_close

DESIRED = np.array([100.0, -3.0, 0.0])


def off_by(error):
    return DESIRED + np.array([0.0, 0.0, error])


def test_bound_follows_the_largest_magnitude():
    bound = FLOAT64_OUTPUT.rtol * 100 + FLOAT64_OUTPUT.atol
    assert_close(off_by(0.9 * bound), DESIRED, FLOAT64_OUTPUT)
    with pytest.raises(AssertionError, match=r"1 of 3 elements.*\(2,\)"):
        assert_close(off_by(1.1 * bound), DESIRED, FLOAT64_OUTPUT)


@pytest.mark.parametrize(
    "actual",
    [DESIRED[:, None], DESIRED[:2], DESIRED.astype(np.float32), off_by(np.nan), off_by(np.inf)],
    ids=["shape", "length", "dtype", "nan", "infinity"],
)
def test_mismatch_fails(actual):
    with pytest.raises(AssertionError):
        assert_close(actual, DESIRED, FLOAT64_OUTPUT)


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
def test_what_is_not_finite_must_match_in_place(value):
    assert_close(off_by(value), off_by(value), FLOAT64_OUTPUT)
    with pytest.raises(AssertionError):
        assert_close(DESIRED, off_by(value), FLOAT64_OUTPUT)
    with pytest.raises(AssertionError):
        assert_close(off_by(value)[::-1], off_by(value), FLOAT64_OUTPUT)


def test_float32_may_be_judged_by_float64_but_not_the_other_way():
    single = DESIRED.astype(np.float32)
    assert_close(single, DESIRED, FLOAT32_OUTPUT)
    with pytest.raises(AssertionError, match="too coarse"):
        assert_close(DESIRED, single, FLOAT64_OUTPUT)


def test_empty_arrays_are_close():
    assert_close(np.zeros((0, 3)), np.zeros((0, 3)), FLOAT64_OUTPUT)
