"""Who does what: how many workers a kernel gets, and how much they work on at a time.

Every choice depends on sizes and thread count only, never on a timing, and no result depends on
the choice of workers.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastrnn.kernels.cpu.caches import first_level_size
from fastrnn.kernels.cpu.threads import get_num_threads

#: Rows for which one panel of W is used at a time: with it they stay in the second-level cache.
PROJECT_ROWS = 96

# Blocks of rows are a whole number of register tiles.
_TILE_ROWS = 6

#: Work worth a worker.  A parallel region costs about 4 us, and 14 us when the threads sleep: one
#: worker alone does 2 million multiply-adds in some 18 us at AVX-512 speed.
MULTIPLY_ADDS_PER_WORKER = 1_000_000

#: Weights worth a worker where they come from beyond the second-level cache: some 10 us or more.
WEIGHT_BYTES_PER_WORKER = 1_000_000


def workers_for(multiply_adds: int, parts: int) -> int:
    """Return how many workers share `multiply_adds` that split into `parts` at most."""
    return max(1, min(get_num_threads(), parts, multiply_adds // MULTIPLY_ADDS_PER_WORKER))


def workers_to_move(numbers: int, parts: int) -> int:
    """Return how many workers share moving so many numbers, that split into `parts` at most.

    Between steps of training a number of a weight takes 0.7 ns to be packed.
    """
    return workers_for(64 * numbers, parts)


def units_per_panel(products: Sequence[int], vectors: int, widest: int) -> int:
    """Return how many vectors of hidden units share a panel.

    A tile of one vector asks for a broadcast number with every product, and reaches half to three
    quarters of the peak; units that fill up the last panel cost as much as real ones.  The fewer
    vectors in a panel, the more workers can share the units.

    products  gates that each matrix feeds
    vectors   of hidden units in all
    widest    vectors that a register tile has room for, 2 or 4
    """
    share_of_peak = (0.75, 1.0) if widest == 2 else (0.5, 0.9, 0.97, 1.0)

    def cost(units: int) -> float:
        tiles = [divmod(gates * units, widest) for gates in products]
        row = sum(
            full * widest + (rest / share_of_peak[rest - 1] if rest else 0) for full, rest in tiles
        )
        return -(-vectors // units) * row

    return min(range(1, most_units(max(products), widest) + 1), key=cost)


def most_units(gates: int, widest: int) -> int:
    """Return how many vectors of hidden units can share a panel at most.

    gates    that a unit has, or fewer
    """
    return max(2, widest // gates)


def input_gradient_blocks(panels: int, width: int) -> tuple[int, int]:
    """Return how many rows of gradients, and how many of their panels, are worked on at a time.

    Measured at 128 to 650 units: 24 to 192 rows and 8 to 64 panels differ by 5 to 20 % of the peak,
    and these are within about 2 % of the best.
    """
    rows = max(24, min(192, 98304 // (panels * width)))
    return rows // _TILE_ROWS * _TILE_ROWS, 8


def gradient_chunk(row_bytes: int) -> int:
    """Return how many rows a weight gradient sums before its sums go to memory.

    All sums of a panel read its rows, `row_bytes` each, which fill the first-level cache: 256 rows
    of an LSTM on an AMD Zen 1, where 85 to 512 rows differ by up to 10 % of the peak.
    """
    return max(_TILE_ROWS, first_level_size() // row_bytes)


def is_gathered(row_bytes: int, panels: int, workers: int) -> bool:
    """Return whether a weight gradient copies rows of X before it multiplies them.

    row_bytes    from one row of X to the next
    panels       that all workers together multiply them with

    Rows at distances of 2 KB and more share few sets of the first-level cache, and each has a page
    of its own: two workers on an AMD Zen 1, 6400 x 512 x 2048 numbers, reach 77 to 87 % of the peak
    with the rows where they are, and 95 to 99 % with a copy.  With rows of 256 bytes the copy costs
    5 % of the peak; it pays off over two panels or more.
    """
    return row_bytes >= 2048 and panels >= 2 * workers


def gradient_runs(rows: int, features: int, panels: int) -> int:
    """Return into how many runs a weight gradient cuts the rows, each with sums of its own.

    Workers that share the sums of few panels all read all rows, often from each other's caches.
    Where each has runs of its own, every row is read once, and their sums are added afterwards.
    """
    return max(1, min(8, rows // max(1024, 8 * features))) if panels <= 2 else 1
