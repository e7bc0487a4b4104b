"""The LSTM reference against PyTorch's, in float64."""

import numpy as np
import pytest
from tolerances import TORCH_FLOAT64_GRADIENT, TORCH_FLOAT64_OUTPUT, assert_close

from fastrnn.reference import lstm

torch = pytest.importorskip("torch")


def leaf(values):
    """A tensor that gathers gradients, sharing no memory with `values`."""
    return torch.tensor(values, requires_grad=True)


def torch_lstm(W, R, b):
    """A torch.nn.LSTM of these weights; the bias is split unevenly over torch's two."""
    module = torch.nn.LSTM(len(W), len(R), dtype=torch.float64)
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.tensor(W.T))
        module.weight_hh_l0.copy_(torch.tensor(R.T))
        module.bias_ih_l0.copy_(torch.tensor(0.25 * b))
        module.bias_hh_l0.copy_(torch.tensor(0.75 * b))
    return module


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "packed"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (4, 3, 5, 3), (7, 3, 17, 33)], ids=str)
def test_outputs_and_all_gradients_match_torch(rng, shape, ragged):
    T, B, I, H = shape
    x = rng.standard_normal((T, B, I))
    W, R = rng.standard_normal((I, 4 * H)) / np.sqrt(I), rng.standard_normal((H, 4 * H)) / H**0.5
    b = rng.standard_normal(4 * H)
    h0, c0, dh_T, dc_T = rng.standard_normal((4, B, H))
    dy = rng.standard_normal((T, B, H))
    # torch refuses to pack a row of length 0.
    lengths = np.array([max(T // 2, 1), T, 1])[:B] if ragged else None

    y, (h_T, c_T), saved = lstm.forward(x, W, R, b, (h0, c0), lengths)
    gradients = lstm.backward(saved, dy, (dh_T, dc_T))

    module, x_leaf, h_leaf, c_leaf = torch_lstm(W, R, b), leaf(x), leaf(h0[None]), leaf(c0[None])
    if ragged:
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x_leaf, torch.tensor(lengths), enforce_sorted=False
        )
        packed_y, (h_torch, c_torch) = module(packed, (h_leaf, c_leaf))
        y_torch, _ = torch.nn.utils.rnn.pad_packed_sequence(packed_y, total_length=T)
    else:
        y_torch, (h_torch, c_torch) = module(x_leaf, (h_leaf, c_leaf))
    torch.autograd.backward(
        (y_torch, h_torch[0], c_torch[0]), tuple(map(torch.tensor, (dy, dh_T, dc_T)))
    )

    outputs = {"y": (y, y_torch), "h_T": (h_T, h_torch[0]), "c_T": (c_T, c_torch[0])}
    for name, (ours, theirs) in outputs.items():
        assert_close(ours, theirs.detach().numpy(), TORCH_FLOAT64_OUTPUT, name)
    pairs = {
        "dx": (gradients.x, x_leaf),
        "dW": (gradients.W.T, module.weight_ih_l0),
        "dR": (gradients.R.T, module.weight_hh_l0),
        "db through W": (gradients.b, module.bias_ih_l0),
        "db through R": (gradients.b, module.bias_hh_l0),
        "dh0": (gradients.states[0][None], h_leaf),
        "dc0": (gradients.states[1][None], c_leaf),
    }
    for name, (ours, theirs) in pairs.items():
        assert_close(ours, theirs.grad.numpy(), TORCH_FLOAT64_GRADIENT, name)
