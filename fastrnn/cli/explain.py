"""`fastrnn explain`: how the work of a recurrent layer would be shared, and why."""

from __future__ import annotations

import argparse

import numpy as np

import fastrnn
from fastrnn.cells import CELLS
from fastrnn.cli.error import CommandError

_SIZES = {"T": "time steps", "B": "sequences", "I": "input features", "H": "hidden units"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `fastrnn explain`."""
    parser.add_argument("--cell", default="lstm", help=f"{', '.join(CELLS)} (default: %(default)s)")
    for name, meaning in _SIZES.items():
        parser.add_argument(f"--{name}", type=int, required=True, metavar="N", help=meaning)
    parser.add_argument(
        "--threads", type=int, metavar="N", help="processors to plan for (default: those here)"
    )
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")


def run(arguments: argparse.Namespace) -> int:
    """Print the plan; return the exit status."""
    from fastrnn.functional.panels import gate_tile
    from fastrnn.kernels.cpu import plan

    if arguments.cell not in CELLS:
        raise CommandError(f"--cell: expected {', '.join(CELLS)}, got {arguments.cell!r}")
    threads = fastrnn.get_num_threads() if arguments.threads is None else arguments.threads
    for name, value in [*((n, getattr(arguments, n)) for n in _SIZES), ("threads", threads)]:
        if value < 1:
            raise CommandError(f"--{name}: expected at least 1, got {value}")
    T, B, I, H = (getattr(arguments, name) for name in _SIZES)
    kind, dtype = CELLS[arguments.cell], np.dtype(arguments.dtype)
    panels = gate_tile(kind, H, dtype).all.number
    loop = plan.Loop(T, B, T * B, I, H, len(kind.GATES), panels, dtype.itemsize)
    for line in plan.explain(loop, threads):
        print(line)
    return 0
