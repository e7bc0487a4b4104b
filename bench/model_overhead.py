"""How much of a training step is not spent in kernels: layers, tape, losses, optimizer, fit.

    python -m bench.model_overhead [--program sentiment cells] [--rounds 9] [--batches 20]

The programs are those of `bench.keras_programs`, one after the other, as users train one model at
a time.  In each round a program fits one epoch; the time from the start of a compiled task to its
end counts as the kernels', all the rest as above them, but for what it takes to look at the clock.
With --clock cpu only the time counts for which the calling thread had a processor, which tells
more on a busy machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import fastrnn
from fastrnn.kernels.cpu import pool

from . import timing
from .keras_programs import SIZES, compiled, made_reviews

# In a row, to learn what a call costs that is timed.
_CALLS = 20

CLOCKS = {"wall": time.perf_counter, "cpu": time.thread_time}


class KernelClock:
    """Seconds that have been spent in compiled tasks since it was made.

    There is one for all: whatever runs tasks finds it in the place of what `pool` has.

    Attributes
    ----------
    seconds : float
    calls : int
        How many tasks, or lists of them, were run.
    own : float
        Seconds that looking at the clock takes for each of them, outside of `seconds`.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds = 0.0
        self.calls = 0
        self._clock = clock
        self.own = self._own_seconds()
        run_alone = self._timed(pool.run_alone())
        for name, function in (
            ("run", self._timed(pool.run)),
            ("team", self._timed(pool.team)),
            ("run_alone", lambda: run_alone),
        ):
            setattr(pool, name, function)

    def _timed(self, function: Callable[..., None]) -> Callable[..., None]:
        clock = self._clock

        def timed(*arguments: Any) -> None:
            start = clock()
            function(*arguments)
            self.seconds += clock() - start
            self.calls += 1

        return timed

    def _own_seconds(self) -> float:
        def nothing(*arguments: Any) -> None:
            pass

        timed = self._timed(nothing)
        costs = []
        for _ in range(200):
            self.seconds, start = 0.0, self._clock()
            for _ in range(_CALLS):
                timed(0, b"", b"", 1, 1)
            costs.append((self._clock() - start - self.seconds) / _CALLS)
        return median(costs)


def prepare(program: str, batches: int) -> Callable[[], Any]:
    """Return a call that fits a program's model for one epoch."""
    batch = SIZES[program][1]
    x, y = made_reviews(program, batches)
    model = compiled(fastrnn, program)

    def fit() -> None:
        model.fit(x, y, batch_size=batch, epochs=1, verbose=0)

    return fit


def main() -> None:
    """Print the figures of all programs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", nargs="+", choices=SIZES, default=[*SIZES], metavar="NAME")
    parser.add_argument("--rounds", type=timing.count, default=9, help="(default: %(default)s)")
    parser.add_argument(
        "--batches", type=timing.count, default=20, help="in an epoch (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=timing.count, default=2, help="workers (default: %(default)s)"
    )
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="(default: %(default)s)")
    arguments = parser.parse_args()
    timing.use_threads(arguments.threads)
    timing.print_machine()
    clock = CLOCKS[arguments.clock]
    kernels = KernelClock(clock)
    fits = {name: prepare(name, arguments.batches) for name in arguments.program}
    print(f"{'ms a step, median of ' + str(arguments.rounds):24} step  kernels  above  share")
    for name, fit in fits.items():
        pairs = []
        for _ in range(3):
            fit()
        # Garbage is collected as it is for users: that is part of what is above the kernels.
        for _ in range(arguments.rounds):
            kernels.seconds, kernels.calls, start = 0.0, 0, clock()
            fit()
            step = clock() - start - kernels.calls * kernels.own
            pairs.append((step, kernels.seconds))
        step, inside = (1e3 * median(each) / arguments.batches for each in zip(*pairs, strict=True))
        above = 1e3 * median(a - b for a, b in pairs) / arguments.batches
        share = median(1 - b / a for a, b in pairs)
        print(f"{name:24}{step:5.2f} {inside:8.2f} {above:6.2f} {share:6.1%}")


if __name__ == "__main__":
    main()
