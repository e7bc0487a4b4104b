"""Layers against Keras' own: outputs, gradients, masks, weights as they are.

Keras multiplies matrices in float32 on PyTorch even where arrays are float64.
"""

import os

import numpy as np
import pytest
from tolerances import KERAS, assert_close

from fastrnn import GradientTape, Tensor, layers, ops

# Of Keras' own making.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

B, T, I, H = 3, 5, 4, 3

MASKS = {
    "no mask": None,
    "padding on the right": [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]],
    "padding on the left": [[1, 1, 1, 1, 1], [0, 0, 0, 1, 1], [0, 1, 1, 1, 1]],
    "holes": [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]],
}
CELLS = {
    "SimpleRNN": ("SimpleRNN", {}),
    "LSTM": ("LSTM", {}),
    "GRU": ("GRU", {}),
    "GRU reset before": ("GRU", {"reset_after": False}),
    "relu": ("SimpleRNN", {"activation": "relu", "use_bias": False}),
    "hard gates": ("LSTM", {"activation": "softsign", "recurrent_activation": "hard_sigmoid"}),
    "slow LSTM": ("LSTM", {"activation": "elu", "recurrent_activation": "silu"}),
    "slow GRU": ("GRU", {"activation": "gelu", "reset_after": False}),
}
OPTIONS = {
    "last": {},
    "all": {"return_sequences": True, "return_state": True},
    "backwards": {"return_sequences": True, "go_backwards": True},
    "last backwards": {"return_state": True, "go_backwards": True},
    "zeros": {"return_sequences": True, "return_state": True, "zero_output_for_mask": True},
    "last zeros": {"zero_output_for_mask": True},
}


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("torch")
    os.environ["KERAS_BACKEND"] = "torch"
    return pytest.importorskip("keras")


@pytest.fixture(params=MASKS)
def mask(request):
    given = MASKS[request.param]
    return None if given is None else np.array(given, bool)


def flat(value):
    return [leaf for each in value for leaf in flat(each)] if isinstance(value, list | tuple) else [
        value
    ]  # fmt: skip


def compare(keras, theirs, ours, inputs, mask=None, states=(), **options):
    """Give both layers the same weights, and compare outputs and all gradients."""
    import torch

    rng = np.random.default_rng(7)
    many = isinstance(inputs, list)
    arrays = [*(inputs if many else [inputs]), *states]
    is_float = [array.dtype.kind == "f" for array in arrays]
    their = [torch.tensor(a, requires_grad=f) for a, f in zip(arrays, is_float, strict=True)]
    our = [Tensor(a) if f else a for a, f in zip(arrays, is_float, strict=True)]
    count = len(arrays) - len(states)

    def call(layer, values, masks):
        named = dict(options)
        if states:
            named["initial_state"] = values[count:]
        if mask is not None:
            named["mask"] = masks
        return flat(layer(values[:count] if many else values[0], **named))

    their_mask, our_mask = mask, mask
    if mask is not None:
        their_mask = (
            [m if m is None else torch.tensor(m) for m in mask] if many else torch.tensor(mask)
        )
    call(theirs, their, their_mask)
    for weight in theirs.weights:
        weight.assign(0.6 * rng.standard_normal(weight.shape))
    desired = call(theirs, their, their_mask)
    shapes = [tuple(a.shape) for a in arrays[:count]]
    ours.build(shapes if many else shapes[0])
    ours.set_weights(theirs.get_weights())
    factors = [rng.standard_normal(tuple(y.shape)) for y in desired]
    with GradientTape() as tape:
        actual = call(ours, our, our_mask)
        total = sum(ops.sum(y * f) for y, f in zip(actual, factors, strict=True))
    sources = [s for s, f in zip(our, is_float, strict=True) if f]
    gradients = tape.gradient(total, [*sources, *ours.trainable_variables])
    their_total = sum((y * torch.tensor(f)).sum() for y, f in zip(desired, factors, strict=True))
    their_sources = [s for s, f in zip(their, is_float, strict=True) if f]
    wanted = torch.autograd.grad(
        their_total, [*their_sources, *(w.value for w in theirs.trainable_weights)],
        allow_unused=True,
    )  # fmt: skip
    for y, y_desired in zip(actual, desired, strict=True):
        assert_close(y, y_desired.detach().numpy().astype(float), KERAS)
    for ours_, d in zip(gradients, wanted, strict=True):
        if d is None:
            assert ours_ is None or not np.asarray(ours_).any()
        else:
            zeros = np.zeros(tuple(d.shape))
            assert_close(
                zeros if ours_ is None else np.asarray(ours_), d.numpy().astype(float), KERAS
            )


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_layers_agree(keras, rng, cell, name, mask):
    kind, options = CELLS[cell]
    options = {"dtype": "float64", **options, **OPTIONS[name]}
    states = [rng.standard_normal((B, H)) for _ in range(2 if kind == "LSTM" else 1)]
    compare(
        keras, getattr(keras.layers, kind)(H, **options), getattr(layers, kind)(H, **options),
        rng.standard_normal((B, T, I)), mask, states if options.get("return_state") else (),
    )  # fmt: skip


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("name", ["last", "all"])
def test_both_directions_agree(keras, rng, merge, name, mask):
    options = {"dtype": "float64", **OPTIONS[name]}
    theirs, ours = (
        module.layers.Bidirectional(
            module.layers.LSTM(H, **options), merge_mode=merge, dtype="float64"
        )
        for module in (keras, _Ours)
    )
    states = [rng.standard_normal((B, H)) for _ in range(4)]
    compare(
        keras, theirs, ours, rng.standard_normal((B, T, I)), mask,
        states if name == "all" else (),
    )  # fmt: skip


class _Ours:
    layers = layers


@pytest.mark.parametrize("name", ["last", "all", "backwards"])
def test_stacks_of_cells_agree(keras, rng, name, mask):
    def make(module):
        cells = [
            module.layers.LSTMCell(4, dtype="float64"),
            module.layers.GRUCell(2, dtype="float64"),
            module.layers.SimpleRNNCell(3, dtype="float64"),
        ]
        return module.layers.RNN(cells, dtype="float64", **OPTIONS[name])

    compare(keras, make(keras), make(_Ours), rng.standard_normal((B, T, I)), mask)


OTHERS = {
    "dense": (lambda m: m.Dense(3, "tanh", dtype="float64"), [(B, T, I)], None),
    "vectors": (lambda m: m.Dense(3, use_bias=False, dtype="float64"), [(B, I)], None),
    "normalization": (lambda m: m.LayerNormalization(dtype="float64"), [(B, T, I)], None),
    "of two axes": (
        lambda m: m.LayerNormalization(axis=[1, 2], epsilon=0.1, scale=False, dtype="float64"),
        [(B, T, I)],
        None,
    ),
    "attention": (
        lambda m: m.Attention(use_scale=True, dtype="float64"),
        [(B, T, I), (B, 6, I)],
        None,
    ),
    "causal": (lambda m: m.Attention(dtype="float64"), [(B, T, I), (B, T, I)], "causal"),
    "attention with masks": (
        lambda m: m.Attention(score_mode="concat", use_scale=True, dtype="float64"),
        [(B, T, I), (B, T, I), (B, T, I)],
        [True, True, False],
    ),
    "additive attention": (
        lambda m: m.AdditiveAttention(dtype="float64"),
        [(B, T, I), (B, T, I)],
        [False, True],
    ),
    "time distributed": (
        lambda m: m.TimeDistributed(m.Dense(2, "relu", dtype="float64"), dtype="float64"),
        [(B, T, I)],
        None,
    ),
    "average pooling": (
        lambda m: m.GlobalAveragePooling1D(dtype="float64"),
        [(B, T, I)],
        "padded",
    ),
    "max pooling": (lambda m: m.GlobalMaxPooling1D(dtype="float64"), [(B, T, I)], None),
    "concatenation": (
        lambda m: m.Concatenate(axis=1, dtype="float64"),
        [(B, T, I), (B, 2, I)],
        None,
    ),
    "permutation": (lambda m: m.Permute((2, 1), dtype="float64"), [(B, T, I)], None),
    "repetition": (lambda m: m.RepeatVector(3, dtype="float64"), [(B, I)], None),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_layers_agree(keras, rng, name):
    make, shapes, masks = OTHERS[name]
    options = {}
    arrays = [rng.standard_normal(shape) for shape in shapes]
    mask = np.array(MASKS["padding on the right"], bool)
    if masks == "causal":
        options["use_causal_mask"] = True
        masks = None
    elif masks == "padded":
        masks = mask
    elif masks is not None:
        masks = [mask if is_masked else None for is_masked in masks]
    inputs = arrays if len(arrays) > 1 else arrays[0]
    compare(keras, make(keras.layers), make(layers), inputs, masks, **options)


@pytest.mark.parametrize("size", [6, 40], ids=["small table", "large table"])
def test_embeddings_and_what_they_mask_agree(keras, rng, size):
    ids = rng.integers(0, 6, (B, T))
    theirs, ours = (
        module.layers.Embedding(size, 4, mask_zero=True, dtype="float64")
        for module in (keras, _Ours)
    )
    compare(keras, theirs, ours, ids)
    np.testing.assert_array_equal(ours(ids).mask, theirs.compute_mask(ids))


def test_recurrent_dropout_is_where_it_is_in_keras(keras, rng):
    import torch

    h = rng.standard_normal((B, H))
    mask = rng.integers(0, 2, (B, H)) * 2.0
    for kind, options in (("SimpleRNN", {}), ("LSTM", {}), ("GRU", {}),
                          ("GRU", {"reset_after": False})):  # fmt: skip
        theirs, ours = (
            getattr(module.layers, f"{kind}Cell")(
                H, recurrent_dropout=0.5, dtype="float64", **options
            )
            for module in (keras, _Ours)
        )
        x = rng.standard_normal((B, I))
        theirs.build(x.shape)
        ours.build(x.shape)
        ours.set_weights(theirs.get_weights())
        # Keras draws a mask for each gate: here they are one.
        drawn = theirs.get_recurrent_dropout_mask(torch.tensor(h))
        same = torch.tensor(mask)
        count = len(drawn) if isinstance(drawn, list | tuple) else 0
        theirs._recurrent_dropout_mask = [same] * count if count else same
        ours._recurrent_mask = mask
        states = [h] * (2 if kind == "LSTM" else 1)
        desired, _ = theirs(torch.tensor(x), [torch.tensor(s) for s in states], training=True)
        actual, _ = ours(x, states, training=True)
        assert_close(actual, desired.detach().numpy().astype(float), KERAS)
        still, _ = ours(x, states)
        assert not np.array_equal(still, actual)


def test_output_shapes_agree(keras):
    for options in OPTIONS.values():
        for kind in ("LSTM", "GRU"):
            theirs = getattr(keras.layers, kind)(H, **options).compute_output_shape((None, T, I))
            ours = getattr(layers, kind)(H, **options).compute_output_shape((None, T, I))
            assert flat(ours) == flat(theirs)


def test_automatic_names_agree(keras):
    from fastrnn.layers import context

    for name in ("LSTM", "GRU", "SimpleRNN", "GlobalAveragePooling1D", "LayerNormalization",
                 "StackedRNNCells", "SpatialDropout1D", "MyBlock2"):  # fmt: skip
        base = keras.layers.Layer
        theirs = type(name, (base,), {})().name
        assert context.automatic_name(f"{name}").rstrip("_0123456789") == theirs.rstrip(
            "_0123456789"
        )
