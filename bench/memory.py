"""Whether training needs more and more memory: the resident memory over many steps.

python -m bench.memory [--steps 5000]
"""

from __future__ import annotations

import argparse
import os
from itertools import cycle, islice
from pathlib import Path

import numpy as np

import fastrnn
from fastrnn.models.language import LanguageModel
from fastrnn.optimizers import Adam
from fastrnn.preprocessing.text import Windows

from . import timing

# Buffers are allocated as they are first needed; by then all have been.
SETTLED = 200
SHOWN_EVERY = 500
VOCABULARY = 65


def resident_megabytes() -> float:
    """Return the memory of this process that is in RAM (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Print the resident memory now and then, and how far it rose above that of step 200."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--steps", type=timing.count, default=5000, help="training steps")
    parser.add_argument("--units", type=timing.count, default=128, help="of each of two layers")
    parser.add_argument("--batch", type=timing.count, default=32, help="streams of tokens")
    parser.add_argument("--window", type=timing.count, default=32, help="steps of a window")
    parser.add_argument("--threads", type=timing.count, default=2, help="workers")
    arguments = parser.parse_args()
    fastrnn.set_num_threads(arguments.threads)
    timing.print_machine()

    rng = np.random.default_rng(0)
    # Every fifth window is a shorter one, as at the end of a text.
    length = arguments.batch * (4 * arguments.window + arguments.window // 2 + 1) + 1
    tokens = rng.integers(0, VOCABULARY, length, np.int32)
    windows = Windows(tokens, batch=arguments.batch, window=arguments.window)
    model = LanguageModel(VOCABULARY, units=arguments.units, dropout=0.1)
    optimizer = Adam(global_clipnorm=1.0)
    state = model.zero_state(arguments.batch)
    settled = highest = 0.0
    for step, (inputs, targets) in enumerate(islice(cycle(windows), arguments.steps), start=1):
        _, _, state = model.train_step(inputs, targets, state, optimizer, step)
        now = resident_megabytes()
        if step <= SETTLED:
            settled = highest = now
        highest = max(highest, now)
        if step % SHOWN_EVERY == 0 or step == SETTLED:
            print(f"step {step:6}  {now:8.1f} MiB", flush=True)
    print(f"largest growth after step {SETTLED}: {highest - settled:.1f} MiB")


if __name__ == "__main__":
    main()
