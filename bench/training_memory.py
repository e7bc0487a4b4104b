"""How much memory one training step of a recurrent layer needs, ours and torch's.

    python bench/training_memory.py [--shape 100,64,512,512] [--cell lstm]

Each step runs in a new process, after a small one that loads code and starts threads.  Counted is
the peak of the resident memory above what was resident before, input and weights among it: what
is kept for backward, scratch, and the results, which are y and all gradients (Linux).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import timing
from problems import CELLS, Shape

_MODULES = {"fastrnn": "fastrnn_layers", "torch": "rivals.torch_layers"}

# Freed memory that malloc keeps would be used again by the step, unseen: it is given back first.
_PROGRAM = """
import ctypes, gc, importlib, json, os, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
from problems import Problem, Shape

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

module, threads, cell, *shape = sys.argv[1:]
library = importlib.import_module(module)
library.use_threads(int(threads))

def training_step(shape):
    (variants,) = library.candidates(Problem(cell, shape), "training").values()
    return next(iter(variants.values())).run

training_step(Shape(3, 8, 16, 16))()
run = training_step(Shape(*map(int, shape)))
gc.collect()
if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
    libc.malloc_trim(0)
before, peak_before = resident(), peak()
results = run()
assert peak() > peak_before, "the peak was before the step: take a larger shape"
print(json.dumps({"before": before, "step": peak() - before}))
"""


def measure(library: str, cell: str, shape: Shape, threads: int) -> dict[str, int]:
    """Return the bytes that were resident before a step, and how many it needed more."""
    numbers = [str(number) for number in (threads, cell, *shape)]
    arguments = [str(Path(__file__).parent), _MODULES[library], *numbers]
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True
    )
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
    parser.add_argument("--cell", default="lstm", choices=CELLS, help="kind of layer")
    parser.add_argument("--runs", type=int, default=3, help="processes of each library")
    parser.add_argument("--threads", type=int, default=2, help="of each library")
    arguments = parser.parse_args()
    shape = Shape(*map(int, arguments.shape.split(",")))
    timing.print_machine()
    print(f"{arguments.cell} {tuple(shape)}, MiB{'before':>16} {'the step':>10}")
    for library in _MODULES:
        runs = [
            measure(library, arguments.cell, shape, arguments.threads)
            for _ in range(arguments.runs)
        ]
        before, step = (median(run[key] for run in runs) / 2**20 for key in ("before", "step"))
        print(f"{library:30} {before:10.1f} {step:10.1f}", flush=True)


if __name__ == "__main__":
    main()
