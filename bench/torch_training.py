"""Stock PyTorch training programs with and without a line of `fastrnn.torch.accelerate`.

    python -m bench.torch_training [--only tagger] [--threads 2] [--steps 20] ...

A language model of two GRU layers, and a tagger whose bidirectional LSTM reads packed sequences,
in the sizes of SIZES.  First all train from the same seed and their losses are compared, then their
steps are timed in turns:

    stock               as it is
    fused               with `fused=True` for Adam, PyTorch's own option
    model               with the line `accelerate(model)`
    model, optimizer    with the line `accelerate(model, optimizer=optimizer)`, which sets it too
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import fastrnn.torch

from . import timing

# Losses agree so far over all steps; rounding errors grow from step to step.
TOLERANCE = 1e-3

# Batches of a data set, made before there is a model and trained on over and over.
BATCHES = 50

Loss = Callable[[nn.Module], Tensor]


class Sizes(NamedTuple):
    """Sizes of a model and of its batches.

    units       of each layer, or direction, and of the embedding
    batch       sequences side by side
    length      steps; of a tagger the mean of lengths of lognormal distribution
    vocabulary  tokens
    classes     what is predicted
    """

    units: int
    batch: int
    length: int
    vocabulary: int
    classes: int


class LanguageModel(nn.Module):
    """Predicts the next of (T, B) tokens."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        units, vocabulary = sizes.units, sizes.vocabulary
        self.embedding = nn.Embedding(vocabulary, units)
        self.rnn = nn.GRU(units, units, num_layers=2, dropout=0.2)
        self.head = nn.Linear(units, sizes.classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits (T, B, vocabulary)."""
        y, _ = self.rnn(self.embedding(tokens))
        return self.head(y)


class Tagger(nn.Module):
    """Gives each token of packed sequences one of as many tags."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        units, vocabulary = sizes.units, sizes.vocabulary
        self.embedding = nn.Embedding(vocabulary, units)
        self.rnn = nn.LSTM(units, units, bidirectional=True)
        self.head = nn.Linear(2 * units, sizes.classes)

    def forward(self, tokens: PackedSequence) -> Tensor:
        """Return the logits of the packed rows (N, vocabulary)."""
        y, _ = self.rnn(tokens._replace(data=self.embedding(tokens.data)))
        return self.head(y.data)


def language_losses(sizes: Sizes, seed: int) -> Iterator[Loss]:
    """Yield the loss on one batch after the other; a token is mostly the last one plus 1."""
    generator = torch.Generator().manual_seed(seed)
    T, B, vocabulary = sizes.length, sizes.batch, sizes.vocabulary
    while True:
        jumps = torch.randint(1, vocabulary, (T + 1, B), generator=generator)
        jumps[torch.rand(T + 1, B, generator=generator) < 0.7] = 1
        tokens = jumps.cumsum(0) % vocabulary
        x, targets = tokens[:-1], tokens[1:].flatten()
        yield lambda model, x=x, t=targets: cross_entropy(model(x).flatten(0, 1), t)


def tagger_losses(sizes: Sizes, seed: int) -> Iterator[Loss]:
    """Yield the loss on one batch after the other; a tag depends on one of the neighbours."""
    generator = torch.Generator().manual_seed(seed)
    deviation = 0.6  # of the logarithms of lengths, as of the sentences of newspapers
    mean = math.log(sizes.length) - deviation**2 / 2
    while True:
        logarithms = mean + deviation * torch.randn(sizes.batch, generator=generator)
        lengths = logarithms.exp().round().clamp(1, 8 * sizes.length).int().tolist()
        sequences = [torch.randint(sizes.vocabulary, (n,), generator=generator) for n in lengths]
        padded = [nn.functional.pad(s, (1, 1)) for s in sequences]
        tags = [torch.where(s[1:-1] % 2 == 0, s[:-2], s[2:]) % sizes.classes for s in padded]

        def loss(model: nn.Module, x: list[Tensor] = sequences, t: list[Tensor] = tags) -> Tensor:
            logits = model(pack_sequence(x, enforce_sorted=False))
            return cross_entropy(logits, pack_sequence(t, enforce_sorted=False).data)

        yield loss


class Task(NamedTuple):
    """A model, and the losses that it is to lower."""

    model: Callable[[Sizes], nn.Module]
    losses: Callable[[Sizes, int], Iterator[Loss]]


LANGUAGE, TAGGER = Task(LanguageModel, language_losses), Task(Tagger, tagger_losses)

#: What is trained.  Models of characters have the 65 of Shakespeare's plays; the words are those of
#: WikiText-2, of CoNLL-2003 with its 9 tags, and those of UD English EWT that come twice, with 18.
SIZES = {
    "language model, characters, 64 units": (LANGUAGE, Sizes(64, 50, 50, 65, 65)),
    "language model, characters, 128 units": (LANGUAGE, Sizes(128, 50, 50, 65, 65)),
    "language model, characters, 256 units": (LANGUAGE, Sizes(256, 32, 64, 65, 65)),
    "language model, characters, 512 units": (LANGUAGE, Sizes(512, 64, 100, 65, 65)),
    "language model, words, 200 units": (LANGUAGE, Sizes(200, 20, 35, 33278, 33278)),
    "tagger of English treebanks, 100 units": (TAGGER, Sizes(100, 32, 17, 8866, 18)),
    "tagger of English treebanks, 128 units": (TAGGER, Sizes(128, 128, 17, 8866, 18)),
    "tagger, 64 units": (TAGGER, Sizes(64, 32, 25, 23625, 9)),
    "tagger, 100 units": (TAGGER, Sizes(100, 32, 25, 23625, 9)),
    "tagger, 128 units": (TAGGER, Sizes(128, 64, 25, 23625, 9)),
    "tagger, 256 units": (TAGGER, Sizes(256, 32, 25, 23625, 9)),
    "tagger, 256 units, few words": (TAGGER, Sizes(256, 32, 25, 64, 9)),
}


STOCK, FUSED, MODEL, BOTH = "stock", "fused", "model", "model, optimizer"


class Training:
    """A stock training program, or what is made of it by one of the changes above."""

    def __init__(self, task: Task, sizes: Sizes, options: argparse.Namespace, side: str) -> None:
        torch.manual_seed(options.seed)
        model = self._model = task.model(sizes)
        fused = True if side == FUSED else None
        optimizer = torch.optim.Adam(model.parameters(), options.learning_rate, fused=fused)
        if side == MODEL:
            fastrnn.torch.accelerate(model)
        elif side == BOTH:
            fastrnn.torch.accelerate(model, optimizer=optimizer)
        self._optimizer = optimizer
        self._losses = cycle([*islice(task.losses(sizes, options.seed), BATCHES)])

    def step(self) -> float:
        """Learn from the next batch; return its loss."""
        self._optimizer.zero_grad()
        loss = next(self._losses)(self._model)
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        return loss.item()


def compare(name: str, task: Task, sizes: Sizes, options: argparse.Namespace) -> None:
    """Print how far the losses are apart, and how much faster the steps become."""
    sides = (STOCK, FUSED, MODEL, BOTH)
    curves = {}
    for side in (STOCK, MODEL, BOTH):
        training = Training(task, sizes, options, side)
        curves[side] = torch.tensor([training.step() for _ in range(options.steps)])
    stock = curves[STOCK]
    for side in (MODEL, BOTH):
        timing.check(f"losses, {side}", curves[side], stock, TOLERANCE)
    apart = max(float((curves[side] - stock).abs().max()) for side in (MODEL, BOTH))
    calls = {side: Training(task, sizes, options, side).step for side in sides}
    times = timing.measure(calls, rounds=options.rounds, seconds=options.seconds)
    print(
        f"{name}: batch {sizes.batch}, length {sizes.length}, {sizes.vocabulary} tokens\n"
        f"    loss {stock[0]:.4f} -> {stock[-1]:.4f} in {options.steps} steps, "
        f"at most {apart:.1e} apart"
    )
    for side in sides:
        print(f"    {side:18}{1e3 * times.median(side):8.1f} ms a step", end="")
        print(f"  ratio {times.ratio(STOCK, side):.2f}" if side != STOCK else "", flush=True)


def main() -> None:
    """Compare the programs with and without the line."""
    options = _parser().parse_args()
    timing.use_threads(options.threads)
    timing.print_machine()
    for name, (task, sizes) in SIZES.items():
        if options.only in name:
            compare(name, task, sizes, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--threads", type=timing.count, default=2, help="of both sides")
    add("--only", default="", help="part of the names of what to compare")
    add("--learning-rate", type=float, default=2e-3, help="of Adam")
    add("--steps", type=timing.count, default=20, help="steps whose losses are compared")
    add("--rounds", type=timing.count, default=11, help="rounds of the comparison in turns")
    add("--seconds", type=float, default=0.3, help="of each candidate in a round")
    add("--seed", type=int, default=0, help="of weights, data and dropout")
    return parser


if __name__ == "__main__":
    main()
