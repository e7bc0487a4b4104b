"""`fastrnn.models.language.LanguageModel` as it is written in torch, with the same verbs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fastrnn.models.language import LanguageModel

State = tuple[torch.Tensor, torch.Tensor]
Ids = NDArray[np.int32]


class TorchLanguageModel(nn.Module):
    """Embedding, nn.LSTM stack and softmax with the weights of `model`, an LSTM model.

    Dropout is where `model` has it, between the layers and before the softmax; its masks are
    torch's own.  Of nn.LSTM's two biases the second stays 0 and is not trained: both models have
    the same parameters.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        config = model.get_config()
        self.units, self.layers = config["units"], config["layers"]
        between = config["dropout"] if self.layers > 1 else 0.0  # else nn.LSTM warns
        self.embedding = nn.Embedding(config["vocabulary_size"], config["embedding"])
        self.lstm = nn.LSTM(config["embedding"], self.units, self.layers, dropout=between)
        self.dropout = nn.Dropout(config["dropout"])
        self.head = nn.Linear(self.units, config["vocabulary_size"])
        self.loss = nn.CrossEntropyLoss()
        self.load_state_dict({n: torch.tensor(w) for n, w in _translated(model).items()})
        for layer in range(self.layers):
            getattr(self.lstm, f"bias_hh_l{layer}").requires_grad_(False)

    def zero_state(self, batch: int) -> State:
        """Return the state before a text."""
        shape = (self.layers, batch, self.units)
        return torch.zeros(shape), torch.zeros(shape)

    def train_step(
        self, tokens: Ids, targets: Ids, state: State, optimizer: Adam, step: int
    ) -> tuple[float, float | None, State]:
        """Learn from one window (T, B); return loss, norm of the gradients, and state."""
        self.train()
        optimizer.zero_grad()
        loss, state = self._loss(tokens, targets, state)
        loss.backward()
        norm = optimizer.update()
        return loss.item(), norm, state

    def evaluate(self, tokens: Ids, targets: Ids, state: State) -> tuple[float, State]:
        """Return the mean cross entropy of one window in nats, and the state after it."""
        self.eval()
        with torch.inference_mode():
            loss, state = self._loss(tokens, targets, state)
        return loss.item(), state

    def _loss(self, tokens: Ids, targets: Ids, state: State) -> tuple[torch.Tensor, State]:
        x = self.embedding(torch.from_numpy(tokens))
        y, (h, c) = self.lstm(x, state)
        logits = self.head(self.dropout(y)).flatten(0, 1)
        loss = self.loss(logits, torch.from_numpy(targets).flatten().long())
        return loss, (h.detach(), c.detach())


class Adam:
    """torch's fastest Adam, with the constants and the clipping of `fastrnn.optimizers.Adam`.

    That adds epsilon before the mean square's bias is corrected, torch afterwards: it is corrected
    here.
    """

    def __init__(
        self, model: nn.Module, learning_rate: float, *, global_clipnorm: float | None,
        epsilon: float = 1e-7,
    ) -> None:  # fmt: skip
        self._trained = [p for p in model.parameters() if p.requires_grad]
        self._adam = torch.optim.Adam(self._trained, learning_rate, fused=True)
        self._steps = 0
        self._limit, self._epsilon = global_clipnorm, epsilon

    @property
    def learning_rate(self) -> float:
        """Size of the steps."""
        rate: float = self._adam.param_groups[0]["lr"]
        return rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: float) -> None:
        self._adam.param_groups[0]["lr"] = learning_rate

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._adam.zero_grad(set_to_none=True)

    def update(self) -> float | None:
        """Take one step; return the norm of all gradients before clipping, if there is a limit."""
        norm = None
        if self._limit is not None:
            norm = nn.utils.clip_grad_norm_(self._trained, self._limit)
        self._steps += 1
        self._adam.param_groups[0]["eps"] = self._epsilon / math.sqrt(1.0 - 0.999**self._steps)
        self._adam.step()
        return None if norm is None else norm.item()


def _translated(model: LanguageModel) -> dict[str, Any]:
    """Return the weights of `model` under torch's names, in its layouts."""
    weights = {
        "embedding.weight": model.embedding.embeddings.value,
        "head.weight": model.head.kernel.value.T,
        "head.bias": model.head.bias.value,
    }
    for i, layer in enumerate(model.recurrent):
        weights[f"lstm.weight_ih_l{i}"] = layer.kernel.value.T
        weights[f"lstm.weight_hh_l{i}"] = layer.recurrent_kernel.value.T
        weights[f"lstm.bias_ih_l{i}"] = layer.bias.value
        weights[f"lstm.bias_hh_l{i}"] = np.zeros_like(layer.bias.value)
    return {name: np.ascontiguousarray(weight) for name, weight in weights.items()}
