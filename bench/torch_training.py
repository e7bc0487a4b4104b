"""Stock PyTorch training programs with and without `fastrnn.torch.accelerate(model)`.

    python -m bench.torch_training [--threads 2] [--units 256] [--batch 32] [--steps 50] ...

A language model of two GRU layers, and a tagger whose bidirectional LSTM reads packed sequences of
uniformly distributed lengths.  First both train from the same seed and their losses are compared,
then their steps are timed in turns.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import fastrnn.torch

from . import timing

# Losses agree so far over all steps; rounding errors grow from step to step.
TOLERANCE = 1e-3

Loss = Callable[[nn.Module], Tensor]


class LanguageModel(nn.Module):
    """Predicts the next of (T, B) tokens."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        units, vocabulary = options.units, options.vocabulary
        self.embedding = nn.Embedding(vocabulary, units)
        self.rnn = nn.GRU(units, units, num_layers=2, dropout=0.2)
        self.head = nn.Linear(units, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits (T, B, vocabulary)."""
        y, _ = self.rnn(self.embedding(tokens))
        return self.head(y)


class Tagger(nn.Module):
    """Gives each token of packed sequences one of as many tags."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        units, vocabulary = options.units, options.vocabulary
        self.embedding = nn.Embedding(vocabulary, units)
        self.rnn = nn.LSTM(units, units, bidirectional=True)
        self.head = nn.Linear(2 * units, vocabulary)

    def forward(self, tokens: PackedSequence) -> Tensor:
        """Return the logits of the packed rows (N, vocabulary)."""
        y, _ = self.rnn(tokens._replace(data=self.embedding(tokens.data)))
        return self.head(y.data)


def language_losses(options: argparse.Namespace) -> Iterator[Loss]:
    """Yield the loss on one batch after the other; a token is mostly the last one plus 1."""
    generator = torch.Generator().manual_seed(options.seed)
    T, B, vocabulary = options.length, options.batch, options.vocabulary
    while True:
        jumps = torch.randint(1, vocabulary, (T + 1, B), generator=generator)
        jumps[torch.rand(T + 1, B, generator=generator) < 0.7] = 1
        tokens = jumps.cumsum(0) % vocabulary
        x, targets = tokens[:-1], tokens[1:].flatten()
        yield lambda model, x=x, t=targets: cross_entropy(model(x).flatten(0, 1), t)


def tagger_losses(options: argparse.Namespace) -> Iterator[Loss]:
    """Yield the loss on one batch after the other; a tag is one of the neighbours."""
    generator = torch.Generator().manual_seed(options.seed)
    B, vocabulary = options.batch, options.vocabulary
    while True:
        lengths = torch.randint(1, options.length + 1, (B,), generator=generator).tolist()
        sequences = [torch.randint(vocabulary, (n,), generator=generator) for n in lengths]
        x = pack_sequence(sequences, enforce_sorted=False)
        padded = [nn.functional.pad(s, (1, 1)) for s in sequences]
        tags = [torch.where(s[1:-1] % 2 == 0, s[:-2], s[2:]) for s in padded]
        targets = pack_sequence(tags, enforce_sorted=False).data
        yield lambda model, x=x, t=targets: cross_entropy(model(x), t)


class Task(NamedTuple):
    """A model, and the losses that it is to lower."""

    name: str
    model: Callable[[argparse.Namespace], nn.Module]
    losses: Callable[[argparse.Namespace], Iterator[Loss]]


TASKS = [
    Task("language model, 2 GRU layers", LanguageModel, language_losses),
    Task("tagger, packed bidirectional LSTM", Tagger, tagger_losses),
]


class Training:
    """A stock training program; `accelerate` is the one line that may be added to it."""

    def __init__(self, task: Task, options: argparse.Namespace, *, accelerate: bool) -> None:
        torch.manual_seed(options.seed)
        self._model = task.model(options)
        if accelerate:
            fastrnn.torch.accelerate(self._model)
        self._optimizer = torch.optim.Adam(self._model.parameters(), options.learning_rate)
        self._losses = task.losses(options)

    def step(self) -> float:
        """Learn from the next batch; return its loss."""
        self._optimizer.zero_grad()
        loss = next(self._losses)(self._model)
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        return loss.item()


def compare(task: Task, options: argparse.Namespace) -> None:
    """Print how far the losses are apart, and how much faster the steps become."""
    curves = {}
    for accelerate in (False, True):
        training = Training(task, options, accelerate=accelerate)
        curves[accelerate] = [training.step() for _ in range(options.steps)]
    stock, ours = torch.tensor(curves[False]), torch.tensor(curves[True])
    print(
        f"{task.name}: loss {stock[0]:.4f} -> {stock[-1]:.4f} in {options.steps} steps, "
        f"at most {(ours - stock).abs().max():.1e} apart"
    )
    timing.check("losses", ours, stock, TOLERANCE)
    trainings = {
        name: Training(task, options, accelerate=name == "accelerated")
        for name in ("stock", "accelerated")
    }
    calls = {name: training.step for name, training in trainings.items()}
    times = timing.measure(calls, rounds=options.rounds, seconds=options.seconds)
    print(
        f"a step: stock {1e3 * times.median('stock'):.1f} ms, accelerated "
        f"{1e3 * times.median('accelerated'):.1f} ms, ratio "
        f"{times.ratio('stock', 'accelerated'):.2f}\n",
        flush=True,
    )


def main() -> None:
    """Compare both programs with and without the line."""
    options = _parser().parse_args()
    timing.use_threads(options.threads)
    timing.print_machine()
    for task in TASKS:
        compare(task, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--threads", type=int, default=2, help="of both sides")
    add("--units", type=int, default=256, help="of each layer and of the embedding")
    add("--vocabulary", type=int, default=64, help="tokens, and tags")
    add("--batch", type=int, default=32, help="sequences side by side")
    add("--length", type=int, default=64, help="steps, at most")
    add("--learning-rate", type=float, default=2e-3, help="of Adam")
    add("--steps", type=int, default=50, help="steps whose losses are compared")
    add("--rounds", type=int, default=11, help="rounds of the comparison in turns")
    add("--seconds", type=float, default=0.3, help="of each candidate in a round")
    add("--seed", type=int, default=0, help="of weights, data and dropout")
    return parser


if __name__ == "__main__":
    main()
