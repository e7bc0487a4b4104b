"""The models of `fastrnn.recipes.words` as they are written in torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fastrnn.recipes import Words

Ids = NDArray[np.int32]


class TorchWords(nn.Module):
    """Embedding, nn.LSTM and softmax with the weights of a recipe, and its step of learning.

    Dropout is where the recipe has it; of nn.LSTM's two biases the second stays 0.
    """

    def __init__(self, recipe: Words, *, learns: bool = True) -> None:
        super().__init__()
        setting = recipe.setting
        H, V = setting.units, len(recipe.vocabulary)
        share = setting.dropout if learns else 0.0
        self.clip, self.rate = setting.clip / setting.window, recipe.rate(0)
        self.embedding = nn.Embedding(V, H)
        self.below, self.above = nn.Dropout(share), nn.Dropout(share)
        self.lstm = nn.LSTM(H, H, 2, batch_first=True, dropout=share)
        self.head = nn.Linear(H, V)
        self.loss = nn.CrossEntropyLoss()
        self.state: Any = None
        self._take(recipe)
        self.optimizer = torch.optim.SGD(
            [p for p in self.parameters() if p.requires_grad], lr=self.rate
        )

    def _take(self, recipe: Words) -> None:
        table, *stack, kernel, bias = recipe.model.get_weights()
        weights = {"embedding.weight": table, "head.weight": kernel.T, "head.bias": bias}
        for layer, (W, R, b) in enumerate((stack[:3], stack[3:])):
            weights |= {
                f"lstm.weight_ih_l{layer}": W.T, f"lstm.weight_hh_l{layer}": R.T,
                f"lstm.bias_ih_l{layer}": b, f"lstm.bias_hh_l{layer}": np.zeros_like(b),
            }  # fmt: skip
            getattr(self.lstm, f"bias_hh_l{layer}").requires_grad_(False)
        self.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})

    def train_step(self, x: Ids, y: Ids) -> float:
        """Learn from a window (B, T), going on from the last; return the mean loss."""
        self.optimizer.zero_grad()
        inputs = self.below(self.embedding(torch.from_numpy(x.astype(np.int64))))
        outputs, state = self.lstm(inputs, self.state)
        self.state = tuple(each.detach() for each in state)
        logits = self.head(self.above(outputs)).flatten(0, 1)
        loss = self.loss(logits, torch.from_numpy(y.astype(np.int64)).flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], self.clip)
        self.optimizer.step()
        return float(loss.item())
