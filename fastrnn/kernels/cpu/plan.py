"""How a time loop is shared among workers: by slices of the batch, by hidden units, or by both.

A cost model in seconds chooses.  For one step of a worker that has `rows` rows of the batch and a
`share` of the hidden units:

    products   rows * share * G * H * (H + I) multiply-adds, fewer a second where a tile has one or
               two rows; I counts only where x @ W is made within the loop
    weights    share * G * H * (H + I) numbers from the cache level that holds them
    formula    rows * share * H units
    meeting    log2(2 * members) meetings of two where several workers share a slice

    step = max(products, weights) + both * min(products, weights) + formula + meeting

with the constants of `kernels.cpu.speeds`.

Directions and layers.  Both directions of a layer run at once where `is_narrow` says so.  Layers do
not run in a wavefront, an upper one a step behind the one below: its x @ W could then not be made
for all steps together, which costs what reading W at every step does.  With 128 units, 0.26 MB
at 176 GB/s are 1.5 us a step, against one meeting of 0.3 us and 0.3 us of products saved.

What to expect on paper of an LSTM in float32 on an AMD Zen 5, the time loop forward:

    (T, B, I, H)          processors  slices x members  rows       time  of the ideal
    (100, 64, 512, 512)            2      2 x 1          32    62.48 ms       98 %
                                  16     16 x 1           4     8.33 ms       92 %
                                  64      4 x 16         16     2.10 ms       91 %
                                 128     16 x 8           4     1.13 ms       85 %
    (80, 32, 128, 128)             2      2 x 1          16     1.67 ms       91 %
                                  16     16 x 1           2     0.26 ms       74 %
                                  64     16 x 4           2     0.14 ms       35 %
                                 128     16 x 8           2     0.13 ms       19 %
    (100, 1, 512, 512)             2      1 x 2           1     2.12 ms       22 %
                                  16      1 x 16          1     0.30 ms       20 %
                                  64      1 x 32          1     0.26 ms        6 %

The ideal is the products at full speed on all processors.  For the first shape on 64 processors:
4 slices of 16 rows, each shared by 16 workers with 2 of 32 panels.  A step of a worker is
16 * 4 * 512 * 1024 / 16 = 2.10 million multiply-adds at 1.1e11 a second, 19.1 us (its 0.52 MB of
weights take 3.0 us from the second-level cache), 16 * 32 units of formula, 0.5 us, and a meeting
of 16, 1.5 us: 21.0 us, of which 100 are 2.1 ms.  Only the figures of two processors can
be compared with a measurement here: 61.8 ms, 1.76 ms and 2.57 ms in all, of the third shape with
the product before the loop.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from fastrnn.kernels.cpu import schedule
from fastrnn.kernels.cpu.caches import second_level_size
from fastrnn.kernels.cpu.speeds import speeds
from fastrnn.kernels.cpu.threads import get_num_threads, usable_processors

# Share of the full speed that a tile of 1, 2, 3, ... rows reaches on weights at hand.
_SPEED_OF_ROWS = (0.5, 0.88, 0.95, 0.97, 0.98, 1.0)

# Below this many rows a tile is too short to pay for reading W at every step.
_FEWEST_FUSED_ROWS = 16


class Loop(NamedTuple):
    """What the choice depends on.

    T, B, N      steps, sequences, rows in all
    I            input features
    H, gates     hidden units, and gates of each
    panels       parts that the hidden units can be split into
    itemsize     bytes of a number
    is_fresh     the only step starts from zeros: its h @ R is not made
    """

    T: int
    B: int
    N: int
    I: int
    H: int
    gates: int
    panels: int
    itemsize: int
    is_fresh: bool = False


class Plan(NamedTuple):
    """How a loop is run.

    slices      parts of the batch, each with its own workers
    members     workers that share a slice's hidden units and meet after every step
    is_hoisted  x @ W is made before the loop
    seconds     what the model expects of the forward loop
    """

    slices: int
    members: int
    is_hoisted: bool
    seconds: float

    @property
    def workers(self) -> int:
        """Workers in all."""
        return self.slices * self.members


@lru_cache(maxsize=1024)
def _plan(loop: Loop, threads: int, processors: int) -> Plan:
    is_hoisted = _is_hoisted(loop)
    features = _features(loop, is_hoisted)
    worth = max(1, min(threads, _worth(loop, features)))
    candidates = []
    for slices in range(1, min(loop.B, worth) + 1):
        # Workers that meet must run at the same time.
        members = min(worth, max(processors, slices)) // slices
        most = max(1, min(members, loop.panels))
        for shared in {most, *(1 << n for n in range(most.bit_length()))}:
            seconds = _seconds(loop, features, slices, shared)
            candidates.append(Plan(slices, shared, is_hoisted, seconds))
    # A worker that the system takes from its processor stalls all that meet it at every step.
    return min(candidates, key=lambda p: p.seconds * (1.1 if p.members > 1 else 1.0))


def _is_hoisted(loop: Loop) -> bool:
    """Return whether x @ W is made for all steps before the time loop, not within it.

    Weights that do not stay in cache from step to step are then read once for many rows.
    """
    is_large = loop.gates * loop.H * (loop.I + loop.H) * loop.itemsize > speeds().fused_bytes
    return loop.T > 1 and (loop.B < _FEWEST_FUSED_ROWS or is_large)


def _features(loop: Loop, is_hoisted: bool) -> int:
    """Return how many numbers the loop multiplies with weights for each gate of a row."""
    return (0 if is_hoisted else loop.I) + (0 if loop.is_fresh else loop.H)


def _worth(loop: Loop, features: int) -> int:
    """Return how many workers have enough to do."""
    weights = loop.gates * loop.H * features
    worth = loop.N * weights // schedule.MULTIPLY_ADDS_PER_WORKER
    size = weights * loop.itemsize
    if size > second_level_size():  # each core reads its own share of them
        worth = max(worth, loop.T * size // schedule.WEIGHT_BYTES_PER_WORKER)
    return worth


def _seconds(loop: Loop, features: int, slices: int, members: int) -> float:
    """Return what the model expects of a forward loop; see the module."""
    rows = math.ceil(loop.B / slices) * loop.N / max(1, loop.T * loop.B)
    share = math.ceil(loop.panels / members) / loop.panels
    tiles = max(1, math.ceil(rows / len(_SPEED_OF_ROWS)))
    speed = _SPEED_OF_ROWS[max(0, math.ceil(rows / tiles) - 1)]
    numbers = share * loop.gates * loop.H * features
    core = speeds()
    products = rows * numbers / (core.multiply_adds * speed * 4 / loop.itemsize)
    size = numbers * loop.itemsize
    weights = size / (core.second_level if size <= second_level_size() else core.third_level)
    formula = rows * share * loop.H * core.unit_seconds
    meeting = core.meeting_seconds * math.log2(2 * members) if members > 1 else 0.0
    longer, shorter = max(products, weights), min(products, weights)
    return loop.T * (longer + core.both * shorter + formula + meeting)


def plan(loop: Loop) -> Plan:
    """Return how to run a loop with the threads that kernels may use now."""
    return _plan(loop, get_num_threads(), usable_processors())


def explain(loop: Loop, threads: int) -> list[str]:
    """Return the choice for a machine with so many processors, and its reasons, in lines."""
    chosen = _plan(loop, threads, threads)
    features = _features(loop, chosen.is_hoisted)
    ideal = loop.N * loop.gates * loop.H * features / speeds().multiply_adds / threads
    lines = [
        f"{chosen.workers} of {threads} workers: the batch of {loop.B} in {chosen.slices} "
        f"slice{'s' * (chosen.slices > 1)} of at most {math.ceil(loop.B / chosen.slices)} rows"
    ]
    if chosen.members > 1:
        lines.append(
            f"{chosen.members} workers share the {loop.H} hidden units of a slice and meet after "
            "every step: slices with fewer rows would read the weights for too little work"
        )
    elif chosen.workers < threads:
        lines.append("more workers would cost more than they bring")
    weights = loop.gates * loop.H * (loop.H + loop.I) * loop.itemsize / 1e6
    lines.append(
        f"x @ W is made for all steps before the loop: {loop.B} rows are few, or {weights:.1f} MB "
        "of weights too many to stay in cache"
        if chosen.is_hoisted
        else f"x @ W is made within the loop, on the tile that the formula works on: {weights:.1f} "
        "MB of weights stay in cache"
    )
    lines.append(
        f"expected of the forward loop: {1e3 * chosen.seconds:.3g} ms, "
        f"{ideal / chosen.seconds:.0%} of the arithmetic of all {threads} processors"
    )
    return lines


def is_narrow(chosen: Plan, recurrent_bytes: int) -> bool:
    """Return whether two runs like this are better made at once, on a thread each.

    So it is where threads could only share the hidden units of each, and where R stays in the cache
    of one processor.  An LSTM or a GRU of one sequence, both ways, forward and backward, takes 0.62
    to 0.65 of the time of one direction after the other with 64 units, and 0.85 with 128.
    """
    return chosen.slices == 1 and recurrent_bytes <= second_level_size()
