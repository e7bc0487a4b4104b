"""How long a new process takes to its first training step, with and without compiled kernels.

python -m bench.startup [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

from . import timing

_PROGRAM = """
import json, time
start = time.perf_counter()
import numpy as np
numpy_done = time.perf_counter()
import fastrnn
from fastrnn.models.language import LanguageModel
from fastrnn.optimizers import Adam
imported = time.perf_counter()
tokens = np.random.default_rng(0).integers(0, 65, (64, 64), np.int32)
model = LanguageModel(65)
loss = model.train_step(tokens, tokens, model.zero_state(64), Adam(global_clipnorm=1.0), 0)[0]
stepped = time.perf_counter()
assert np.isfinite(loss)
print(json.dumps({
    "import of NumPy": numpy_done - start,
    "import of fastrnn": imported - numpy_done,
    "model and first training step": stepped - imported,
}))
"""


def start(cache_folder: str) -> dict[str, float]:
    """Return the seconds that the parts of one new process took."""
    begin = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env=os.environ | {"NUMBA_CACHE_DIR": cache_folder},
        capture_output=True,
        text=True,
    )
    total = time.perf_counter() - begin
    if process.returncode != 0:
        raise RuntimeError(f"the process failed:\n{process.stderr}")
    seconds: dict[str, float] = json.loads(process.stdout)
    return {**seconds, "whole process": total}


def main() -> None:
    """Print medians over several processes, first cold, then warm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runs", type=timing.count, default=5, help="of each (default: %(default)s)"
    )
    arguments = parser.parse_args()
    timing.print_machine()
    cold, warm = [], []
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(start(folder))
            warm.append(start(folder))
    print(f"{'seconds, median of ' + str(arguments.runs):32} {'cold':>8} {'warm':>8}")
    for part in cold[0]:
        print(
            f"{part:32} {median(run[part] for run in cold):8.2f} "
            f"{median(run[part] for run in warm):8.2f}"
        )


if __name__ == "__main__":
    main()
