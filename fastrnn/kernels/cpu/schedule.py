"""Who does what: how many workers a kernel gets and where the input product is made.

Every choice depends on sizes and thread count only, never on a timing, and no result depends on
the choice of workers.
"""

from __future__ import annotations

from fastrnn.kernels.cpu.threads import get_num_threads

# A parallel region costs about 3 us, with threads that sleep up to 50 us: one worker alone does
# 2 million multiply-adds in 15 us at AVX-512 speed.
_MULTIPLY_ADDS_PER_WORKER = 1_000_000

# Above this the weights of a layer do not stay in cache from step to step, and x @ W is better
# made for all steps at once: each weight is then read once for many rows.
_CACHED_WEIGHT_BYTES = 12_000_000

# Below this many rows a tile is too short to pay for reading W at every step.
_FEWEST_FUSED_ROWS = 16


def workers_for(multiply_adds: int, parts: int) -> int:
    """Return how many workers share `multiply_adds` that split into `parts` at most."""
    return max(1, min(get_num_threads(), parts, multiply_adds // _MULTIPLY_ADDS_PER_WORKER))


def is_hoisted(B: int, I: int, H: int, gates: int, itemsize: int) -> bool:
    """Return whether x @ W is made for all steps before the time loop, not within it."""
    return B < _FEWEST_FUSED_ROWS or gates * H * (I + H) * itemsize > _CACHED_WEIGHT_BYTES


def chunk_rows(M: int) -> int:
    """Return how many rows a weight gradient sums before its sums go to memory.

    Longer chunks load and store the sums less often; shorter ones keep X (rows, M) in cache.
    """
    return 256 if M <= 192 else 512
