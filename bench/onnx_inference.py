"""ONNX models of one recurrent layer, one sequence at a time, against ONNX Runtime.

    python -m bench.onnx_inference [--cell gru] [--hidden 64 512] [--steps 1] [--state] [--rounds N]

With `--state` the layer starts from states that are given, and its last states are outputs too, as
a stream would use it; else it starts from zeros.

Both run the same file from the same NumPy array: `fastrnn.onnx.load(file).run(...)` and
`onnxruntime.InferenceSession(file).run(...)`, the latter with 1 and with 2 threads, its workers
spinning or not; its fastest for each shape counts.  They take turns, with pauses in which spinning
workers fall asleep.  Before, what they compute is compared.

A ratio is ONNX Runtime's time over ours, the median over all rounds: above 1, we are faster.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from fastrnn import get_num_threads, set_num_threads
from fastrnn.onnx import load

from . import timing

GATES = {"lstm": 4, "gru": 3}
HIDDEN = (64, 128, 256, 512)
STEPS = (1, 100)

_TOLERANCE = 4e-5
_OPSET = 14
_IR_VERSION = 8


def make_file(cell: str, T: int, H: int, has_state: bool = False) -> bytes:
    """Return the file of a layer of H units on H features."""
    rng = np.random.default_rng(0)
    G = GATES[cell]

    def uniform(*sizes: int) -> Any:
        return rng.uniform(-(H**-0.5), H**-0.5, sizes).astype(np.float32)

    constants = {"W": uniform(1, G * H, H), "R": uniform(1, G * H, H), "B": uniform(1, 2 * G * H)}
    attributes: dict[str, Any] = {"hidden_size": H}
    if cell == "gru":
        attributes["linear_before_reset"] = 1
    letters = {"lstm": "hc", "gru": "h"}[cell] if has_state else ""
    given, made = [f"{letter}0" for letter in letters], [f"{letter}_last" for letter in letters]
    inputs = ["x", *constants, *([""] if has_state else []), *given]
    node = helper.make_node(cell.upper(), inputs, ["y", *made], **attributes)
    graph = helper.make_graph(
        [node],
        "layer",
        [_value("x", T, 1, H), *(_value(name, 1, 1, H) for name in given)],
        [_value("y", T, 1, 1, H), *(_value(name, 1, 1, H) for name in made)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


def _value(name: str, *shape: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def make_session(content: bytes, threads: int, spins: bool) -> Any:
    """Return ONNX Runtime's session of a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def compare(cell: str, T: int, H: int, rounds: int, has_state: bool) -> str:
    """Return a row of the table; raise if the runtimes disagree."""
    content = make_file(cell, T, H, has_state)
    model = load(content)
    rng = np.random.default_rng(1)
    sizes = {name: (T if name == "x" else 1, 1, H) for name in model.input_names}
    feeds = {name: rng.uniform(-1, 1, size).astype(np.float32) for name, size in sizes.items()}
    sessions = {
        "1 thread": make_session(content, 1, True),
        "2 threads": make_session(content, 2, True),
        "2 threads, not spinning": make_session(content, 2, False),
    }
    candidates = {"ours": lambda: model.run(feeds)}
    for name, session in sessions.items():
        for theirs, ours in zip(session.run(None, feeds), model.run(feeds), strict=True):
            timing.check(name, theirs, ours, _TOLERANCE)
        candidates[name] = lambda session=session: session.run(None, feeds)
    times = timing.measure(candidates, rounds=rounds)
    cells = [f"{1e6 * times.median('ours'):9.1f}"]
    for threads in ("1 thread", "2 threads"):
        variants = [name for name in sessions if name.startswith(threads)]
        best = min(variants, key=times.median)
        low, ratio, high = statistics.quantiles(times.ratios(best, "ours"), n=4, method="inclusive")
        cells.append(f"{1e6 * times.median(best):9.1f}  {ratio:5.2f} ({low:.2f}-{high:.2f})")
    return f"{cell:4} {T:4} {H:4}  {'  '.join(cells)}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cell", nargs="+", choices=GATES, default=[*GATES], metavar="NAME")
    parser.add_argument("--hidden", nargs="+", type=timing.count, default=HIDDEN, metavar="H")
    parser.add_argument("--steps", nargs="+", type=timing.count, default=STEPS, metavar="T")
    parser.add_argument(
        "--rounds", type=timing.count, default=15, help="at least 2 (default: %(default)s)"
    )
    parser.add_argument(
        "--threads",
        type=timing.count,
        default=get_num_threads(),
        help="of ours (default: %(default)s)",
    )
    parser.add_argument("--state", action="store_true", help="give and take states")
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error(f"--rounds: expected at least 2, got {arguments.rounds}")
    set_num_threads(arguments.threads)
    timing.print_machine()
    print(f"onnxruntime {onnxruntime.__version__}; microseconds a call, ratio (its quartiles)\n")
    print("cell    T    H       ours   ORT, 1 thread              ORT, 2 threads")
    for cell in arguments.cell:
        for T in arguments.steps:
            for H in arguments.hidden:
                print(compare(cell, T, H, arguments.rounds, arguments.state), flush=True)


if __name__ == "__main__":
    main()
