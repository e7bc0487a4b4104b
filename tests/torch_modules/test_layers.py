"""RNN, LSTM and GRU against torch.nn's, with all options in all pairs."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch_twins import all_pairs, compare, same, tensors, twins

OPTIONS = {
    "form": ["time", "batch", "unbatched", "sorted", "unsorted", "equal"],
    "kind": ["LSTM", "LSTMP", "GRU", "RNN tanh", "RNN relu"],
    "sizes": [(1, 3, 17, 33), (3, 17, 33, 3), (17, 1, 3, 1), (33, 3, 1, 17)],  # T, B, I, H
    "num_layers": [1, 2, 3],
    "dtype": [torch.float32, torch.float64],
    "bidirectional": [False, True],
    "bias": [True, False],
    "states": [False, True],
    "strided": [False, True],
}
CASES = all_pairs(OPTIONS)


def name_of(case):
    return "-".join(str(value).replace(" ", "") for value in case.values())


def made(case):
    """Return both modules, x, hx, and what makes the input of x."""
    T, B, I, H = case["sizes"]
    form, kind, _, nonlinearity = case["form"], *case["kind"].partition(" ")
    options = {name: case[name] for name in ("num_layers", "dtype", "bidirectional", "bias")}
    S = H
    if kind == "LSTMP":
        H = max(H, 2)
        S = options["proj_size"] = (H + 1) // 2
        kind = "LSTM"
    if nonlinearity:
        options["nonlinearity"] = nonlinearity
    is_packed = form in ("sorted", "unsorted", "equal")
    options["batch_first"] = form in ("batch", "unsorted")
    shape = (T, I) if form == "unbatched" else (B, T, I) if options["batch_first"] else (T, B, I)
    x = torch.randn(*shape, 2, dtype=case["dtype"])[..., 0]
    if not case["strided"]:
        x = x.contiguous()
    hx = None
    if case["states"]:
        layers = options["num_layers"] * (1 + options["bidirectional"])
        batch = () if form == "unbatched" else (B,)
        hx = torch.randn(layers, *batch, S, dtype=case["dtype"])
        if kind == "LSTM":
            hx = (hx, torch.randn(layers, *batch, H, dtype=case["dtype"]))
    pack = None
    if is_packed:
        lengths = torch.full((B,), T) if form == "equal" else torch.randint(1, T + 1, (B,))
        pack = partial(
            pack_padded_sequence,
            lengths=lengths.sort(descending=True).values if form == "sorted" else lengths,
            batch_first=options["batch_first"], enforce_sorted=form != "unsorted",
        )  # fmt: skip
    return *twins(kind, I, H, **options), x, hx, pack


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_outputs_and_gradients_are_those_of_torch(case, runs):
    stock, ours, x, hx, pack = made(case)
    compare(stock, ours, x, hx, pack)
    assert len(runs) == case["num_layers"] * (1 + case["bidirectional"])


@pytest.mark.parametrize("case", CASES[::3], ids=name_of)
def test_inference_computes_the_same_numbers_as_training(case, runs):
    _, ours, x, hx, pack = made(case)
    given = x if pack is None else pack(x)
    trained = tensors(ours(given, hx))
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            results = tensors(ours(given, hx))
        for result, desired in zip(results, trained, strict=True):
            assert torch.equal(result, desired)
            assert not result.requires_grad
            assert result.is_inference() == (context is torch.inference_mode)
    assert len(runs) == 3 * case["num_layers"] * (1 + case["bidirectional"])


@pytest.mark.parametrize("form", ["time", "batch", "unsorted"])
@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_dropout_draws_the_numbers_that_torch_draws(name, form, dtype, runs):
    x, pack = torch.randn(5, 4, 3, dtype=dtype), None
    if form == "unsorted":
        lengths = torch.tensor([2, 4, 1, 3, 4])
        pack = partial(
            pack_padded_sequence, lengths=lengths, batch_first=True, enforce_sorted=False
        )
    options = {"num_layers": 3, "dropout": 0.4, "bidirectional": form == "batch", "dtype": dtype}
    stock, ours = twins(name, 3, 5, batch_first=form != "time", **options)

    class Seeded(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x, hx):
            torch.manual_seed(11)
            outputs = self.inner(x, hx)
            return outputs, torch.rand(3, dtype=dtype).requires_grad_()  # the same draws after

    compare(Seeded(stock), Seeded(ours), x, None, pack)
    assert runs


@pytest.mark.parametrize(("dropout", "training"), [(0.0, True), (0.5, False)])
def test_no_random_numbers_are_drawn_without_dropout(dropout, training, runs):
    _, ours = twins("LSTM", 3, 5, 2, dropout=dropout)
    before = torch.get_rng_state()
    ours.train(training)(torch.randn(4, 2, 3, generator=torch.Generator()))
    assert torch.equal(torch.get_rng_state(), before)
    assert len(runs) == 2


def test_everything_is_dropped_at_rate_1(runs):
    compare(*twins("GRU", 3, 5, 2, dropout=1.0), torch.randn(4, 2, 3))
    assert len(runs) == 2


@pytest.mark.parametrize("is_packed", [False, True])
def test_layout_of_results_is_that_of_torch(is_packed, runs):
    x = torch.randn(4, 6, 3)
    given = pack_padded_sequence(x, [6, 2, 5, 1], True, False) if is_packed else x
    desired, actual = (m(given) for m in twins("LSTM", 3, 5, 2, batch_first=True))
    for a, d in zip(tensors(actual), tensors(desired), strict=True):
        assert a.shape == d.shape
        assert a.is_contiguous() or not is_packed
    if is_packed:
        assert isinstance(actual[0], PackedSequence)
        for a, d in zip(actual[0][1:], desired[0][1:], strict=True):
            assert torch.equal(a, d)
    assert runs


def test_batches_and_inputs_may_be_expanded(runs):
    stock, ours = twins("GRU", 3, 5)
    x = torch.randn(4, 1, 3).expand(4, 6, 3)
    h = torch.randn(1, 1, 5).expand(1, 6, 5)
    for a, d in zip(ours(x, h), stock(x, h), strict=True):
        same(a, d)
    assert runs


def test_hand_made_packed_sequences_do_what_they_do_in_torch():
    for sizes, rows in (([2, 3], 5), ([2, 2], 5), ([2, 0], 2)):
        given = PackedSequence(torch.randn(rows, 3), torch.tensor(sizes))
        messages = []
        for module in twins("GRU", 3, 5):
            try:
                messages.append(module(given)[0].data.shape)
            except RuntimeError as error:
                messages.append(str(error))
        assert messages[0] == messages[1]


def test_states_have_to_fit_each_batch_of_packed_sequences():
    stock, ours = twins("GRU", 3, 5)
    for lengths in ([4, 2, 1], [5, 2], [4, 2, 1], [3, 3], [6, 1, 1, 1]):
        given = pack_padded_sequence(torch.randn(max(lengths), len(lengths), 3), lengths)
        for states in (len(lengths), 2, 3):
            h = torch.randn(1, states, 5)
            if states == len(lengths):
                same(ours(given, h)[0].data, stock(given, h)[0].data)
                continue
            with pytest.raises(RuntimeError, match="hidden size"):
                ours(given, h)


def test_nan_goes_through_and_stays_in_its_sequence(runs):
    _, ours = twins("LSTM", 3, 5)
    x = torch.randn(4, 2, 3)
    x[1, 0, 0] = torch.nan
    y, _ = ours(x)
    assert y[1:, 0].isnan().all()
    assert y[0].isfinite().all()
    assert y[:, 1].isfinite().all()
    assert runs
