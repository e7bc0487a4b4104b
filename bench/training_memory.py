"""How much memory one training step of a recurrent layer needs, ours and torch's.

    python -m bench.training_memory [--shape 100,64,512,512] [--cell lstm]

Each step runs in a new process, after a small one that loads code and starts threads.  Counted is
the peak of the resident memory above what was resident before, input and weights among it: what
is kept for backward, scratch, and the results, which are y and all gradients (Linux).
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from . import timing
from .cases import USUAL_CELLS, Case

_MODULES = {"fastrnn": ".ours", "torch": ".rivals.torch_rival"}


def measure_here(library: str, cell: str, shape: list[int], threads: int) -> dict[str, int]:
    """Return the bytes that were resident before a step, and how many it needed more."""
    module = import_module(_MODULES[library], __package__)
    module.use_threads(threads)
    _step(module, cell, [3, 8, 16, 16])()
    run = _step(module, cell, shape)
    gc.collect()
    # Freed memory that malloc keeps would be used again by the step, unseen.
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    before, peak_before = _resident(), _peak()
    results = run()
    if _peak() <= peak_before:
        raise RuntimeError("the peak was before the step: take a larger shape")
    del results
    return {"before": before, "step": _peak() - before}


def _step(module: Any, cell: str, shape: list[int]) -> Callable[[], Any]:
    case = Case("training-memory", "", "layer", cell, "training", *shape)
    run: Callable[[], Any] = next(iter(module.prepare(case).values()))().run
    return run


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(library: str, options: argparse.Namespace) -> dict[str, int]:
    """Do so in a new process."""
    process = subprocess.run(
        [sys.executable, "-m", f"{__package__}.training_memory", "--only", library,
         "--cell", options.cell, "--shape", options.shape, "--threads", str(options.threads)],
        capture_output=True, text=True,
    )  # fmt: skip
    if process.returncode != 0:
        raise RuntimeError(f"the process of {library} failed:\n{process.stderr}")
    sizes: dict[str, int] = json.loads(process.stdout)
    return sizes


def main() -> None:
    """Print the memory of each library: medians over several processes."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--shape", default="100,64,512,512", help="T,B,I,H")
    parser.add_argument("--cell", default="lstm", choices=USUAL_CELLS, help="kind of layer")
    parser.add_argument("--runs", type=timing.count, default=3, help="processes of each library")
    parser.add_argument("--threads", type=timing.count, default=2, help="of each library")
    parser.add_argument("--only", choices=_MODULES, help="measure here and now, print as JSON")
    options = parser.parse_args()
    shape = list(map(int, options.shape.split(",")))
    if options.only:
        print(json.dumps(measure_here(options.only, options.cell, shape, options.threads)))
        return
    timing.print_machine()
    print(f"{options.cell} {tuple(shape)}, MiB{'before':>16} {'the step':>10}")
    for library in _MODULES:
        runs = [measure(library, options) for _ in range(options.runs)]
        before, step = (median(run[key] for run in runs) / 2**20 for key in ("before", "step"))
        print(f"{library:30} {before:10.1f} {step:10.1f}", flush=True)


if __name__ == "__main__":
    main()
