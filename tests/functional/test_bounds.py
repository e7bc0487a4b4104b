"""No kernel reads or writes a single number outside of the arrays it is given."""

import sys

import pytest
from processes import run_python

RANDOM_CALLS = """
import numpy as np
from functional.guarded import guarded_in_any_order
from functional.problems import assert_results_close, random_problem, reference_run, run
from fastrnn import functional, reference, set_num_threads
from fastrnn.cells import CELLS
from fastrnn.kernels.cpu import schedule

rng = np.random.default_rng(5)
schedule.MULTIPLY_ADDS_PER_WORKER = 1
schedule.is_gathered = lambda *sizes: bool(rng.integers(2))
SIZES = [1, 2, 3, 7, 8, 15, 16, 17, 33, 64, 65]

def inside(a):
    if a is None:
        return None
    if isinstance(a, tuple):
        return tuple(map(inside, a))
    return guarded_in_any_order(rng, a, at_end=bool(rng.integers(2)))

def numbers(*shape):
    return rng.standard_normal(shape).astype(dtype)

for n in range(90):
    cell = list(CELLS)[n % len(CELLS)]
    dtype = rng.choice([np.float32, np.float64])
    set_num_threads(int(rng.choice([1, 3])))
    T, B, I, H = rng.choice(SIZES[:5]), *rng.choice(SIZES, 3)
    problem = random_problem(rng, cell, T, B, I, H, dtype)
    options = {"reverse": bool(rng.integers(2))}
    if rng.integers(2):
        options["lengths"] = rng.integers(0, T + 1, B)
    guarded = type(problem)(*map(inside, problem))
    if rng.integers(3):
        desired = reference_run(cell, problem, **options)
    else:
        V = rng.choice([1, 5, 300])
        E, ids = numbers(V, I), rng.integers(0, V, (T, B)).astype(np.int32)
        guarded = guarded._replace(x=functional.Embedded(inside(ids), inside(E)))
        desired = reference_run(cell, problem._replace(x=E[ids]), **options)
        desired = desired._replace(dx=reference.embedding.backward(ids, V, desired.dx))
    assert_results_close(run(cell, guarded, **options), desired)

    shape, O = tuple(rng.choice(SIZES, rng.integers(0, 3))), rng.choice(SIZES)
    x, W, b = inside(numbers(*shape, I)), inside(numbers(I, O)), inside(numbers(O))
    functional.linear(x, W, b)[1](inside(numbers(*shape, O)))
    targets = rng.integers(0, O, shape).astype(np.int32)
    weights = inside(rng.random(shape).astype(dtype))
    functional.cross_entropy(x, W, b, inside(targets), weights=weights)[1]()
    ids = rng.integers(0, I, 9).astype(np.int32)
    functional.embedding(inside(ids), W)[1](inside(numbers(9, O)))
    functional.dropout(x, 0.3, 1)[1](x)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="memory is protected by mprotect")
def test_memory_beside_the_arrays_is_never_touched():
    run_python(RANDOM_CALLS)
