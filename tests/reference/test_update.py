"""The references of the optimizers: PyTorch's where the formulas coincide, else by hand."""

import numpy as np
import pytest
from tolerances import FLOAT64_OUTPUT, TORCH_FLOAT64_OUTPUT, assert_close

from fastrnn.reference import update

STEPS = 5


def walk_with_torch(rng, make_optimizer, step_reference, before_step=lambda optimizer, step: None):
    """Take the same steps with both, comparing the parameter after each."""
    torch = pytest.importorskip("torch")
    p = rng.standard_normal((3, 4))
    parameter = torch.nn.Parameter(torch.tensor(p))
    optimizer = make_optimizer(torch.optim, [parameter])
    averages = ()
    for step in range(1, STEPS + 1):
        g = rng.standard_normal((3, 4))
        parameter.grad = torch.tensor(g)
        before_step(optimizer, step)
        optimizer.step()
        p, *averages = step_reference(p, g, averages, step)
        desired = parameter.detach().numpy()
        assert_close(p, desired, TORCH_FLOAT64_OUTPUT, f"p after step {step}")


@pytest.mark.parametrize(
    ("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)], ids=str
)
def test_sgd_matches_torch(rng, momentum, nesterov):
    options = {"momentum": momentum, "nesterov": nesterov}
    walk_with_torch(
        rng,
        lambda optim, parameters: optim.SGD(parameters, lr=0.01, **options),
        lambda p, g, averages, step: update.sgd(p, g, *(averages or [0 * p]), **options),
    )


def test_rmsprop_without_epsilon_matches_torch(rng):
    walk_with_torch(
        rng,
        lambda optim, parameters: optim.RMSprop(parameters, lr=0.001, alpha=0.9, eps=0.0),
        lambda p, g, averages, step: update.rmsprop(p, g, *(averages or [0 * p]), epsilon=0.0),
    )


def torch_epsilon(optimizer, step):
    """Make torch's epsilon, which is added after the correction of v, mean the same as Keras'."""
    for group in optimizer.param_groups:
        group["eps"] = 0.01 / np.sqrt(1 - 0.999**step)


def test_adam_matches_torch_with_its_epsilon_rescaled(rng):
    walk_with_torch(
        rng,
        lambda optim, parameters: optim.Adam(parameters, lr=0.001),
        lambda p, g, averages, step: update.adam(
            p, g, *(averages or [0 * p, 0 * p]), step, epsilon=0.01
        ),
        torch_epsilon,
    )


def test_adamw_matches_torch_with_its_epsilon_rescaled(rng):
    walk_with_torch(
        rng,
        lambda optim, parameters: optim.AdamW(parameters, lr=0.001, weight_decay=0.3),
        lambda p, g, averages, step: update.adamw(
            p, g, *(averages or [0 * p, 0 * p]), step, epsilon=0.01, weight_decay=0.3
        ),
        torch_epsilon,
    )


@pytest.mark.parametrize("centered", [False, True], ids=str)
def test_rmsprop_with_momentum_without_epsilon_matches_torch(rng, centered):
    options = {"momentum": 0.8, "epsilon": 0.0}
    name = "centered_rmsprop" if centered else "rmsprop_with_momentum"
    function = getattr(update, name)
    walk_with_torch(
        rng,
        lambda optim, parameters: optim.RMSprop(
            parameters, lr=0.001, alpha=0.9, eps=0.0, momentum=0.8, centered=centered
        ),
        lambda p, g, averages, step: function(
            p, g, *(averages or [0 * p] * (2 + centered)), **options
        ),
    )


def test_adagrad_without_epsilon_matches_torch(rng):
    walk_with_torch(
        rng,
        lambda optim, parameters: optim.Adagrad(
            parameters, lr=0.001, initial_accumulator_value=0.1, eps=0.0
        ),
        lambda p, g, averages, step: update.adagrad(p, g, *(averages or [0 * p + 0.1]), epsilon=0),
    )


def test_adadelta_matches_torch(rng):
    walk_with_torch(
        rng,
        lambda optim, parameters: optim.Adadelta(parameters, lr=0.5, rho=0.8, eps=1e-3),
        lambda p, g, averages, step: update.adadelta(
            p, g, *(averages or [0 * p] * 2), learning_rate=0.5, rho=0.8, epsilon=1e-3
        ),
    )


def test_amsgrad_matches_torch_with_its_epsilon_rescaled(rng):
    walk_with_torch(
        rng,
        lambda optim, parameters: optim.Adam(parameters, lr=0.001, amsgrad=True),
        lambda p, g, averages, step: update.amsgrad(
            p, g, *(averages or [0 * p] * 3), step, epsilon=0.01
        ),
        torch_epsilon,
    )


def test_adamax_without_epsilon_matches_torch(rng):
    walk_with_torch(
        rng,
        lambda optim, parameters: optim.Adamax(parameters, lr=0.001, betas=(0.9, 0.8), eps=0.0),
        lambda p, g, averages, step: update.adamax(
            p, g, *(averages or [0 * p] * 2), step, beta_2=0.8, epsilon=0.0
        ),
    )


@pytest.fixture
def float64_scalars():
    """Make torch keep NAdam's product of momenta in float64 too."""
    torch = pytest.importorskip("torch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def test_nadam_matches_torch_with_the_growth_of_its_momentum(rng, float64_scalars):
    walk_with_torch(
        rng,
        lambda optim, parameters: optim.NAdam(parameters, lr=0.001, eps=1e-3, momentum_decay=1.0),
        lambda p, g, averages, step: update.nadam(
            p, g, *(averages or [0 * p] * 2), step, epsilon=1e-3
        ),
    )


def test_lion_by_hand():
    p, m = update.lion(
        [1.0, 1.0, 1.0],
        [2.0, -8.0, 0.0],
        [4.0, 4.0, 0.0],
        learning_rate=0.5,
        beta_1=0.5,
        beta_2=0.75,
    )
    assert_close(p, np.array([0.5, 1.5, 1.0]), FLOAT64_OUTPUT, "p")
    assert_close(m, np.array([3.5, 1.0, 0.0]), FLOAT64_OUTPUT, "m")


def test_sgd_by_hand():
    p, m = update.sgd([1.0], [2.0], [4.0], learning_rate=0.5, momentum=0.75)
    assert_close(m, np.array([0.75 * 4 - 0.5 * 2]), FLOAT64_OUTPUT, "m")
    assert_close(p, np.array([1 + 2.0]), FLOAT64_OUTPUT, "p")


def test_nesterov_looks_one_momentum_ahead():
    p, m = update.sgd([1.0], [2.0], [4.0], learning_rate=0.5, momentum=0.75, nesterov=True)
    assert_close(m, np.array([2.0]), FLOAT64_OUTPUT, "m")
    assert_close(p, np.array([1 + 0.75 * 2 - 0.5 * 2]), FLOAT64_OUTPUT, "p")


def test_rmsprop_adds_epsilon_under_the_root():
    p, v = update.rmsprop([1.0], [2.0], [0.0], learning_rate=0.5, rho=0.75, epsilon=3.0)
    assert_close(v, np.array([1.0]), FLOAT64_OUTPUT, "v")
    assert_close(p, np.array([1 - 0.5 * 2 / np.sqrt(1 + 3.0)]), FLOAT64_OUTPUT, "p")


def test_adam_adds_epsilon_to_the_uncorrected_root():
    p, m, v = update.adam(
        [1.0], [2.0], [0.0], [0.0], 1, learning_rate=0.5, beta_1=0.25, beta_2=0.75, epsilon=1.0
    )
    assert_close(m, np.array([1.5]), FLOAT64_OUTPUT, "m")
    assert_close(v, np.array([1.0]), FLOAT64_OUTPUT, "v")
    # alpha = 0.5 * sqrt(1 - 0.75) / (1 - 0.25) = 1/3
    assert_close(p, np.array([1 - 1.5 / 3 / (1 + 1)]), FLOAT64_OUTPUT, "p")


def test_adamw_decays_the_parameter_and_not_the_averages():
    options = {"learning_rate": 0.5, "beta_1": 0.25, "beta_2": 0.75, "epsilon": 1.0}
    p, m, v = update.adamw([1.0], [2.0], [0.0], [0.0], 1, **options, weight_decay=0.2)
    assert_close(p, np.array([1 - 0.5 * 0.2 - 0.25]), FLOAT64_OUTPUT, "p")
    assert_close(m, np.array([1.5]), FLOAT64_OUTPUT, "m")
    assert_close(v, np.array([1.0]), FLOAT64_OUTPUT, "v")


def test_updates_leave_their_arguments_as_they_were(rng):
    arrays = list(rng.uniform(1, 2, (4, 3)))
    before = [a.copy() for a in arrays]
    p, g, m, v = arrays
    update.sgd(p, g, m, momentum=0.9)
    update.rmsprop(p, g, v)
    update.adam(p, g, m, v, 1)
    update.adamw(p, g, m, v, 1)
    update.rmsprop_with_momentum(p, g, v, m)
    update.centered_rmsprop(p, g, v, m, 0 * m)
    update.adagrad(p, g, v)
    update.adadelta(p, g, v, m)
    update.amsgrad(p, g, m, v, v, 1)
    update.adamax(p, g, m, v, 1)
    update.nadam(p, g, m, v, 1)
    update.lion(p, g, m)
    update.clip_by_global_norm(arrays, 0.1)
    for a, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, kept)


def test_global_norm_spans_all_arrays():
    assert_close(update.global_norm([[3.0], [[0.0, 4.0]]]), 5.0, FLOAT64_OUTPUT)


def test_clipping_scales_long_gradients_to_the_limit():
    (first, second), norm = update.clip_by_global_norm([[3.0], [[0.0, 4.0]]], 2.5)
    assert_close(norm, 5.0, FLOAT64_OUTPUT)
    assert_close(first, np.array([1.5]), FLOAT64_OUTPUT)
    assert_close(second, np.array([[0.0, 2.0]]), FLOAT64_OUTPUT)


@pytest.mark.parametrize("values", [[3.0, 4.0], [0.0, 0.0]], ids=str)
def test_clipping_leaves_short_gradients_alone(values):
    (clipped,), _ = update.clip_by_global_norm([values], 5.0)
    np.testing.assert_array_equal(clipped, values)


@pytest.mark.parametrize("broken", [np.nan, np.inf], ids=str)
def test_clipping_turns_a_broken_step_into_nan_everywhere(broken):
    (first, second), norm = update.clip_by_global_norm([[1.0], [broken]], 5.0)
    assert not np.isfinite(norm)
    assert np.isnan(first).all()
    assert np.isnan(second).all()
