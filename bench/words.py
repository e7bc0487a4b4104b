"""A training step of the word models of Zaremba et al. 2014, here and in torch.

    python -m bench.words [--sizes small medium large] [--threads 2] [--rounds 9]

Vocabulary 10,000, 20 rows, the paper's windows; the text is random, as time does not depend on
it.  The first steps without dropout have to agree, then steps with dropout are timed in turns.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from fastrnn import random
from fastrnn.recipes import Words
from fastrnn.recipes.words import NAMES, SIZES

from . import timing
from .rivals.torch_words import TorchWords

VOCABULARY = 10_000
CHECKED_STEPS = 3
TOLERANCE = 1e-4


def write(folder: Path) -> None:
    """Write a text with the vocabulary's size into files named as the Penn Treebank's."""
    rng = np.random.default_rng(0)
    words = np.concatenate([np.arange(VOCABULARY - 2), rng.integers(0, VOCABULARY - 2, 20_002)])
    text = "\n".join(" ".join(map(str, line)) for line in words.reshape(-1, 24)) + "\n"
    for name in NAMES:
        (folder / name).write_text(text)


def main() -> None:
    """Print the milliseconds of a step, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--threads", type=timing.count, default=2)
    parser.add_argument("--rounds", type=timing.count, default=9)
    options = parser.parse_args()
    timing.use_threads(options.threads)
    timing.print_machine()
    print(f"{'size':8}  {'torch':>10}  {'ours':>10}  ratio")
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        for size in options.sizes:
            row(Path(folder), size, options.rounds)


def row(folder: Path, size: str, rounds: int) -> None:
    """Check one size and time it."""
    random.set_seed(0)
    recipe = Words(folder, size=size)
    assert len(recipe.vocabulary) == VOCABULARY
    batches = list(recipe.batches()[0])
    model, rival = recipe.model, TorchWords(recipe, learns=False)
    dropouts = [layer for layer in model.layers if hasattr(layer, "rate")]
    for layer in dropouts:
        layer.rate = 0.0
    for x, y in batches[:CHECKED_STEPS]:
        timing.check(f"{size}: loss", model.train_on_batch(x, y), rival.train_step(x, y), TOLERANCE)
    for layer in dropouts:
        layer.rate = recipe.setting.dropout
    rival = TorchWords(recipe)
    x, y = batches[0]
    times = timing.measure(
        {"torch": lambda: rival.train_step(x, y), "ours": lambda: model.train_on_batch(x, y)},
        rounds=rounds,
    )
    torch, ours = (1e3 * times.median(name) for name in ("torch", "ours"))
    print(
        f"{size:8}  {torch:7.1f} ms  {ours:7.1f} ms  {times.ratio('torch', 'ours'):.2f}", flush=True
    )


if __name__ == "__main__":
    main()
