"""Recurrent layers: batch-major, with states, both ways, on arrays and on looked-up rows."""

import numpy as np
import pytest
from layers.recurrent_layers import B, H, I, T, make_layer, random_states
from structures import STRUCTURES, WITH_EXTRA
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, assert_close

from fastrnn import GradientTape, Tensor, functional, ops, reference
from fastrnn.layers import LSTM, Dense, Embedding, Recurrent


@pytest.fixture(params=STRUCTURES)
def cell(request):
    return request.param


@pytest.fixture(params=[*STRUCTURES, *WITH_EXTRA])
def any_cell(request):
    return request.param


def reference_run(cell, layer, x, states, dy, dstate, lengths=None):
    """Reference on batch-major arrays; `go_backwards` reads x from its end."""
    turn = -1 if layer.go_backwards else 1
    module = reference.CELLS[cell]
    arrays = layer.cell.arrays()
    more = {} if arrays.extra is None else {"extra": arrays.extra}
    y, final, saved = module.forward(
        x.swapaxes(0, 1)[::turn], arrays.W, arrays.R, arrays.b, states, lengths, **more
    )
    gradients = module.backward(saved, dy.swapaxes(0, 1), dstate)
    dx = gradients.x[::turn].swapaxes(0, 1)
    of_weights = [d for d in gradients[1:4] if d is not None]
    of_weights += [gradients.extra[name] for name in arrays.extra or ()]
    return y.swapaxes(0, 1), final, [dx, *of_weights, *gradients.states]


@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
def test_sequences_states_and_gradients_match_reference(rng, any_cell, go_backwards):
    layer = make_layer(
        any_cell, return_sequences=True, return_state=True, go_backwards=go_backwards
    )
    x = rng.standard_normal((B, T, I))
    dy = rng.standard_normal((B, T, layer.cell.output_size))
    states, dstate = random_states(rng, layer), random_states(rng, layer)
    y_desired, final_desired, gradients = reference_run(any_cell, layer, x, states, dy, dstate)

    inputs = [Tensor(x), *layer.variables, *map(Tensor, states)]
    with GradientTape() as tape:
        y, *final = layer(inputs[0], initial_state=inputs[1 + len(layer.variables) :])
        total = weighted_sum([y, *final], [dy, *dstate])
    assert_close(y, y_desired, FLOAT64_OUTPUT, "y")
    for s, wanted in zip(final, final_desired, strict=True):
        assert_close(s, wanted, FLOAT64_OUTPUT, "state")
    for d, wanted in zip(tape.gradient(total, inputs), gradients, strict=True):
        assert_close(d, wanted, FLOAT64_GRADIENT)


def weighted_sum(tensors, weights):
    """Sum of all numbers of tensors, weighted."""
    return sum(ops.sum(t * w) for t, w in zip(tensors, weights, strict=True))


@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
def test_last_output_is_that_of_the_runs_last_step(rng, cell, go_backwards):
    x = rng.standard_normal((B, T, I))
    whole = make_layer(cell, return_sequences=True, go_backwards=go_backwards)(x)
    last = make_layer(cell, go_backwards=go_backwards)(x)
    assert last.shape == (B, H)
    np.testing.assert_array_equal(last, whole.value[:, -1])
    output, h, *_ = make_layer(cell, return_state=True, go_backwards=go_backwards)(x)
    np.testing.assert_array_equal(output, last)
    np.testing.assert_array_equal(h, last)


def test_output_and_first_state_share_their_gradient(rng, cell):
    layer = make_layer(cell, return_state=True)
    x = rng.standard_normal((B, T, I))
    with GradientTape() as tape:
        output, h, *_ = layer(x)
        total = weighted_sum([output, h], [1.0, 2.0])
    both = tape.gradient(total, layer.variables)
    with GradientTape() as tape:
        output, *_ = layer(x)
    for d, single in zip(both, tape.gradient(output, layer.variables), strict=True):
        assert_close(d, 3 * single, FLOAT64_GRADIENT)


def test_memory_order_of_the_inputs_does_not_matter(rng, cell):
    layer = make_layer(cell, return_sequences=True)
    x = rng.standard_normal((B, T, I))
    desired = layer(x)
    time_major = x.swapaxes(0, 1).copy().swapaxes(0, 1)
    for same in (time_major, np.asfortranarray(x), x[::-1].copy()[::-1], Tensor(x)):
        np.testing.assert_array_equal(layer(same), desired)


def test_no_initial_state_is_zeros(rng, cell):
    layer = make_layer(cell)
    x = rng.standard_normal((B, T, I))
    zeros = layer.get_initial_state(B)
    for same in (zeros, np.stack([np.asarray(s) for s in zeros]), []):
        np.testing.assert_array_equal(layer(x), layer(x, initial_state=same))


def test_halves_joined_by_their_states_are_the_whole(rng, cell):
    layer = make_layer(cell, return_sequences=True, return_state=True)
    x = rng.standard_normal((B, T, I))
    y, *final = layer(x)
    early, *middle = layer(x[:, :2])
    late, *final_late = layer(x[:, 2:], initial_state=middle)
    assert_close(np.concatenate([early, late], 1), y.value, FLOAT64_OUTPUT)
    for s, wanted in zip(final_late, final, strict=True):
        assert_close(s, wanted.value, FLOAT64_OUTPUT)


@pytest.mark.parametrize("vocabulary", [3, 500])
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
def test_looked_up_rows_are_not_copied_out_and_have_the_right_gradient(
    rng, cell, vocabulary, go_backwards
):
    table = Embedding(vocabulary, I, dtype="float64")
    layer = make_layer(cell, return_sequences=True, go_backwards=go_backwards)
    ids = rng.integers(0, vocabulary, (B, T))
    d = rng.standard_normal((B, T, H))

    sources = [table.embeddings, *layer.variables]
    with GradientTape() as tape:
        rows = table(ids)
        y = layer(rows)
    assert rows._rows is None
    lazily = tape.gradient(y, sources, d)

    with GradientTape() as tape:
        copied = Tensor(table(ids).value)
        y_copied = layer(copied)
    desired = tape.gradient(y_copied, [copied, *layer.variables], d)
    desired[0] = reference.embedding.backward(ids, vocabulary, desired[0])
    assert_close(y, y_copied.value, FLOAT64_OUTPUT)
    for ours, wanted in zip(lazily, desired, strict=True):
        assert_close(ours, wanted, FLOAT64_GRADIENT)


def test_looked_up_rows_serve_a_recurrent_and_another_layer_at_once(rng, cell):
    table = Embedding(11, I, dtype="float64")
    layer, dense = make_layer(cell), Dense(H, dtype="float64")
    dense.build((None, I))
    ids = rng.integers(0, 11, (B, T))

    def run():
        rows = table(ids)
        return weighted_sum([layer(rows), dense(rows)], [1.0, 2.0])

    def alone(part):
        with GradientTape() as tape:
            output = part(table(ids))
        (gradient,) = tape.gradient(output, [table.embeddings])
        return gradient

    with GradientTape() as tape:
        total = run()
    (gradient,) = tape.gradient(total, [table.embeddings])
    assert_close(gradient, alone(layer) + 2 * alone(dense), FLOAT64_GRADIENT)


def test_without_a_tape_nothing_is_kept(rng, cell, monkeypatch):
    asked = []
    rnn = functional.rnn

    def spy(*arguments, **options):
        asked.append(options["training"])
        return rnn(*arguments, **options)

    monkeypatch.setattr(functional, "rnn", spy)
    layer = make_layer(cell)
    x = rng.standard_normal((B, T, I))
    layer(x)
    layer(x, training=True)
    with GradientTape():
        layer(x)
    assert asked == [False, False, True]


def test_weights_are_named_and_replaceable(any_cell):
    layer = make_layer(any_cell, name="first")
    names = [v.name for v in layer.variables]
    recurrent = ["first/recurrent_kernel"] * (layer.cell.recurrent_kernel is not None)
    assert names[: 2 + len(recurrent)] == ["first/kernel", *recurrent, "first/bias"]
    extra = {"P": "projection"}
    assert names[2 + len(recurrent) :] == [f"first/{extra.get(n, n)}" for n in layer.cell.extra]
    weights = [w + 1 for w in layer.get_weights()]
    layer.set_weights(weights)
    for ours, wanted in zip(layer.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(ours, wanted)
    with pytest.raises(ValueError, match=rf"weights: first expected {len(names)} arrays, got 1"):
        layer.set_weights(weights[:1])
    with pytest.raises(ValueError, match="weights: first/kernel expected shape"):
        layer.set_weights([w.T for w in weights])
    for ours, wanted in zip(layer.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(ours, wanted)


def test_forget_bias_of_an_lstm_starts_at_one():
    def bias(**options):
        layer = LSTM(3, **options)
        layer.build((None, None, 2))
        return layer.get_weights()[2]

    assert bias().tolist() == [0] * 3 + [1] * 3 + [0] * 6
    assert not bias(unit_forget_bias=False).any()
    assert bias(bias_initializer="ones", unit_forget_bias=True).all()


def test_recurrent_weights_start_orthogonal():
    layer = Recurrent("lstm", H, dtype="float64")
    layer.build((None, None, I))
    R = layer.get_weights()[1]
    assert_close(R @ R.T, np.eye(H), FLOAT64_OUTPUT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": "gnu"}, "^cell: expected one of .*got 'gnu'"),
        ({"units": 0}, "^units: expected .*got 0"),
        ({"units": 2.5}, r"^units: expected .*got 2\.5"),
        ({"dtype": "float16"}, "^dtype: expected .*got 'float16'"),
        ({"dropout": 1.0}, r"^dropout: expected .*got 1\.0"),
        ({"return_state": 1}, "^return_state: expected True or False, got 1"),
        ({"projection_size": 3}, "^projection_size: expected None"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(cell, change, message):
    with pytest.raises(ValueError, match=message):
        Recurrent(**{"cell": cell, "units": H} | change)


def test_wrong_inputs_are_named(rng, cell):
    layer = make_layer(cell, name="first")
    x = rng.standard_normal((B, T, I))
    with pytest.raises(ValueError, match=r"^first: expected an input of shape \(None, None, 5\)"):
        layer(rng.standard_normal((B, T, I + 1)))
    with pytest.raises(ValueError, match="^first: expected an input of shape"):
        layer(x[0])
    with pytest.raises(ValueError, match="^first: expected an initial state of shape"):
        layer(x, initial_state=[np.zeros((B + 1, size)) for size in layer.cell.sizes])
    with pytest.raises(ValueError, match=r"^first: expected \d initial states, got 3"):
        layer(x, initial_state=[np.zeros((B, H))] * 3)
    with pytest.raises(ValueError, match="^first: expected a mask of shape"):
        layer(x, mask=np.ones((B, T + 1), bool))


def test_wrong_inputs_leave_a_cell_without_weights(rng, cell):
    step = Recurrent(cell, H, dtype="float64").cell
    states = [np.zeros((B, size)) for size in step.sizes]
    for shape in ((), (I,), (B, T, I)):
        with pytest.raises(ValueError, match=r"expected an input of shape \(None, None\)"):
            step(rng.standard_normal(shape), states)
    assert not step.built and not step.weights
    assert step(rng.standard_normal((B, I + 1)), states)[0].shape[0] == B


def test_plain_data_gets_no_gradient_and_tensors_do(rng, cell, monkeypatch):
    wanted = []
    rnn = functional.rnn
    monkeypatch.setattr(
        functional, "rnn", lambda *a, **k: wanted.append(k["wants_dx"]) or rnn(*a, **k)
    )
    layer, x = make_layer(cell), rng.standard_normal((B, T, I))
    source = Tensor(x)
    with GradientTape() as tape:
        y = layer(x)
    from_plain = tape.gradient(y, layer.trainable_variables)
    with GradientTape() as tape:
        y = layer(source)
    dx, *from_tensor = tape.gradient(y, [source, *layer.trainable_variables])
    assert wanted == [False, True]
    assert dx.shape == x.shape
    for one, other in zip(from_plain, from_tensor, strict=True):
        np.testing.assert_array_equal(one, other)


def test_masks_are_drawn_together_and_each_is_used_once():
    seed, shape = 7, (3, 5)
    layer = LSTM(5, dropout=0.5, recurrent_dropout=0.5, seed=seed)
    drawn = [mask for _ in range(10) for mask in layer.cell.masks_of_a_run(*shape)]
    for number, mask in enumerate(drawn):
        key = (seed, number // 16, *shape)
        together = functional.dropout_factors((16, *shape), np.float32, 0.5, key)
        np.testing.assert_array_equal(mask, together[number % 16])
    assert len({mask.tobytes() for mask in drawn}) == 20
    other = LSTM(5, dropout=0.5, recurrent_dropout=0.5, seed=seed)
    other.cell._draws = 18
    np.testing.assert_array_equal(other.cell.masks_of_a_run(*shape)[0], drawn[18])


def test_large_masks_are_drawn_alone_and_few_kinds_are_kept():
    cell = LSTM(4, dropout=0.5, seed=1).cell
    large, _ = cell.masks_of_a_run(300, 400)
    alone = functional.dropout_factors((1, 300, 400), np.float32, 0.5, (1, 0, 300, 400))
    np.testing.assert_array_equal(large, alone[0])
    for batch in range(1, 50):
        assert cell.masks_of_a_run(batch, 3)[0].shape == (batch, 3)
    assert len(cell._drawn) <= 8
    assert cell.masks_of_a_run(0, 3)[0].shape == (0, 3)
