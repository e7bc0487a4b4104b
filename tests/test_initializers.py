"""Initializers: their distributions, seeds, shapes and names."""

import json
import math

import numpy as np
import pytest

from fastrnn import initializers, random

SHAPE = (150, 200)
N = 150 * 200
# Of N numbers: a mean errs by 1 / sqrt(N) deviations, a variance by sqrt(2 / N) of itself; five
# times that happens once in 1.7 million draws, and the seeds are fixed.
ERROR = 5 / math.sqrt(N)

UNIFORM, NORMAL, TRUNCATED = "uniform", "normal", "truncated"


def of_variance(variance, kind):
    return kind, 0.0, math.sqrt(variance)


# Kind, mean and standard deviation of what each draws for SHAPE.
DRAWN = {
    "uniform": (UNIFORM, 0.0, 0.1 / math.sqrt(12)),
    "RandomUniform": (UNIFORM, 0.0, 0.1 / math.sqrt(12)),
    "normal": (NORMAL, 0.0, 0.05),
    "standard_normal": (NORMAL, 0.0, 1.0),
    "truncated_normal": (TRUNCATED, 0.0, 0.05 * 0.8796256610342398),
    "glorot_uniform": of_variance(2 / 350, UNIFORM),
    "glorot_normal": of_variance(2 / 350, TRUNCATED),
    "he_uniform": of_variance(2 / 150, UNIFORM),
    "he_normal": of_variance(2 / 150, TRUNCATED),
    "lecun_uniform": of_variance(1 / 150, UNIFORM),
    "lecun_normal": of_variance(1 / 150, TRUNCATED),
    "variance_scaling": of_variance(1 / 150, TRUNCATED),
}
# The largest number in standard deviations, and the fourth moment of the standardised numbers.
FORMS = {UNIFORM: (math.sqrt(3), 1.8), NORMAL: (math.inf, 3.0), TRUNCATED: (2 / 0.87962566, 2.369)}


def check_distribution(values, kind, mean, deviation):
    standard = (values.astype(np.float64) - mean) / deviation
    limit, fourth = FORMS[kind]
    assert abs(standard.mean()) < ERROR
    assert abs(standard.var() - 1) < math.sqrt(2) * ERROR
    # Its own variance is at most 96 of N (that of the normal distribution).
    assert abs((standard**4).mean() - fourth) < math.sqrt(96) * ERROR
    assert np.abs(standard).max() <= limit * (1 + 1e-6)
    if limit < math.inf:
        assert np.abs(standard).max() > 0.99 * limit
    # Neighbours, and rows, know nothing of each other.
    assert abs((standard[:, 1:] * standard[:, :-1]).mean()) < ERROR
    assert abs((standard[1:] * standard[:-1]).mean()) < ERROR


@pytest.mark.parametrize("name", DRAWN)
def test_distributions(name):
    random.set_seed(3)
    values = initializers.get(name)(SHAPE)
    assert (values.shape, values.dtype) == (SHAPE, np.float32)
    check_distribution(values, *DRAWN[name])


def test_distributions_with_arguments():
    uniform = initializers.RandomUniform(minval=1, maxval=3, seed=1)(SHAPE, "float64")
    check_distribution(uniform, UNIFORM, 2.0, 2 / math.sqrt(12))
    normal = initializers.RandomNormal(mean=-1, stddev=0.5, seed=1)(SHAPE)
    check_distribution(normal, NORMAL, -1.0, 0.5)
    truncated = initializers.TruncatedNormal(mean=2, stddev=3, seed=1)(SHAPE)
    check_distribution(truncated, TRUNCATED, 2.0, 3 * 0.8796256610342398)


@pytest.mark.parametrize("distribution", ["uniform", "untruncated_normal", "truncated_normal"])
@pytest.mark.parametrize(("mode", "n"), [("fan_in", 150), ("fan_out", 200), ("fan_avg", 175)])
def test_variance_scaling(mode, n, distribution):
    draw = initializers.VarianceScaling(3.0, mode, distribution, seed=2)
    kind = {"uniform": UNIFORM, "untruncated_normal": NORMAL}.get(distribution, TRUNCATED)
    check_distribution(draw(SHAPE), *of_variance(3 / n, kind))


@pytest.mark.parametrize(
    ("shape", "fan_in", "fan_out"),
    [((40, 1000), 40, 1000), ((5, 40, 100), 200, 500), ((4000,), 4000, 4000), ((), 1, 1)],
)
def test_fans_of_shapes(shape, fan_in, fan_out):
    for mode, n in (("fan_in", fan_in), ("fan_out", fan_out), ("fan_avg", (fan_in + fan_out) / 2)):
        values = initializers.VarianceScaling(1.0, mode, "uniform", seed=1)(shape, "float64")
        limit = math.sqrt(3 / n)
        assert np.abs(values).max() <= limit
        if values.size > 1:
            assert np.abs(values).max() > 0.99 * limit


@pytest.mark.parametrize("shape", [(6, 6), (3, 7), (7, 3), (2, 3, 4), (4, 2, 2), (1, 1)], ids=str)
def test_orthogonal_matrices(shape):
    values = initializers.Orthogonal(gain=2.0, seed=5)(shape, "float64")
    matrix = values.reshape(-1, shape[-1]) / 2
    product = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_are_spread_evenly():
    # Elements of a random rotation (n, n) have mean 0 and variance 1 / n.
    values = np.array([initializers.Orthogonal(seed=s)((4, 4), "float64") for s in range(2000)])
    assert np.abs(values.mean(0)).max() < 5 * 0.5 / math.sqrt(2000)
    np.testing.assert_allclose((values**2).mean(0), 0.25, rtol=0.15)


def test_constants():
    assert initializers.get("zeros")((2, 3)).tolist() == [[0] * 3] * 2
    assert initializers.get("ones")(2, "int32").dtype == np.int32
    assert initializers.Constant(1.5)((2,)).tolist() == [1.5, 1.5]
    assert initializers.constant(7)(()).tolist() == 7
    vectors = initializers.Constant(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert vectors((2, 2)).dtype == np.float32
    assert vectors((2, 2)).tolist() == [[1, 2], [3, 4]]
    again = initializers.get(json.loads(json.dumps(initializers.serialize(vectors))))
    assert again((2, 2)).tolist() == [[1, 2], [3, 4]]
    eye = initializers.Identity(gain=3)((2, 3))
    assert eye.dtype == np.float32
    assert eye.tolist() == [[3, 0, 0], [0, 3, 0]]


def test_seeds():
    draw = initializers.GlorotUniform(seed=4)
    np.testing.assert_array_equal(draw((3, 4)), draw((3, 4)))
    np.testing.assert_array_equal(draw((3, 4)), initializers.GlorotUniform(seed=4)((3, 4)))
    assert (draw((3, 4)) != initializers.GlorotUniform(seed=5)((3, 4))).all()
    pairs = []
    for _ in range(2):
        random.set_seed(6)
        pairs.append([initializers.get("he_normal")((3, 4)) for _ in range(2)])
    np.testing.assert_array_equal(*pairs)
    assert (pairs[0][0] != pairs[0][1]).all()


@pytest.mark.parametrize("name", initializers.NAMES)
def test_names_and_configurations(name):
    first = initializers.get(name)
    shape = (4, 3)
    described = json.loads(json.dumps(initializers.serialize(first)))
    again = initializers.get(described)
    assert type(again) is type(first)
    assert again.get_config() == first.get_config()
    assert type(first).from_config(first.get_config()).get_config() == first.get_config()
    assert again(shape, "float64").shape == shape
    if "seed" in first.get_config():
        assert first.get_config()["seed"] is None
        seeded = type(first).from_config({**first.get_config(), "seed": 11})
        copy = initializers.deserialize(initializers.serialize(seeded))
        np.testing.assert_array_equal(seeded(shape), copy(shape))


def test_what_else_stands_for_an_initializer(rng):
    assert initializers.get(None) is None

    def ours(shape, dtype=None):
        return np.full(shape, 2, dtype)

    assert initializers.get(ours) is ours
    assert isinstance(initializers.get(initializers.HeNormal), initializers.HeNormal)
    values = rng.standard_normal((2, 3))
    np.testing.assert_array_equal(initializers.get(values)((2, 3), "float64"), values)
    with pytest.raises(ValueError, match=r"^initializer: expected shape \(3, 2\), got \(2, 3\)"):
        initializers.get(values)((3, 2))
    keras = {
        "module": "keras.initializers", "class_name": "RandomNormal", "registered_name": None,
        "config": {"mean": 0.0, "stddev": 0.1, "seed": None},
    }  # fmt: skip
    assert initializers.get(keras).stddev == 0.1


def test_functions_of_a_generator():
    shape = (5, 8)
    rng = np.random.default_rng
    expected = {
        "zeros": np.zeros(shape),
        "uniform": rng(1).uniform(-0.05, 0.05, shape),
        "standard_normal": rng(1).standard_normal(shape),
        "glorot_uniform": rng(1).uniform(-math.sqrt(6 / 13), math.sqrt(6 / 13), shape),
    }
    for name, values in expected.items():
        drawn = initializers.INITIALIZERS[name](shape, rng(1), np.dtype(np.float32))
        np.testing.assert_allclose(drawn, values.astype(np.float32), rtol=1e-6)
        assert drawn.dtype == np.float32
    matrix = initializers.INITIALIZERS["orthogonal"](shape, rng(1), np.dtype(np.float64))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(5), atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.get("gauss"), "initializer: expected one of zeros, .*got 'gauss'"),
        (lambda: initializers.get(3), "initializer: expected a name, a dict or a callable, got 3"),
        (lambda: initializers.VarianceScaling(0), "scale: expected a number above 0"),
        (lambda: initializers.VarianceScaling(mode="in"), "mode: expected one of fan_in"),
        (lambda: initializers.VarianceScaling(distribution="x"), "distribution: expected one of"),
        (lambda: initializers.RandomNormal(stddev=-1), "stddev: expected a finite number of at"),
        (lambda: initializers.RandomUniform(1, 0), "maxval: expected a finite number of at least"),
        (lambda: initializers.Constant("1"), "value: expected a number, got '1'"),
        (lambda: initializers.Constant(math.nan), "value: expected a finite number, got nan"),
        (lambda: initializers.Constant([1, 2])((3,)), r"value: .* to \(3,\), got \(2,\)"),
        (lambda: initializers.HeNormal(seed=-1), "seed: expected an int of at least 0"),
        (lambda: initializers.Identity()((2,)), "shape: expected two lengths"),
        (lambda: initializers.Orthogonal(seed=0)((2,)), "shape: expected at least two lengths"),
        (lambda: initializers.Zeros()((2, -1)), r"shape: expected ints of at least 0, got \(2, -1"),
        (lambda: initializers.Zeros()((2, None)), "shape: expected ints of at least 0"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()
