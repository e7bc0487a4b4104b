"""What fastrnn is compared with, as its own users would write it.

A rival is a module with

    use_threads(number)     called once, before anything is computed
    prepare(case)           -> the ways to solve a case, see `candidate.Variants`; raises
                            `candidate.UnableError` where there is none

which is imported in a process of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata, util
from typing import NamedTuple


class Rival(NamedTuple):
    """A library to compare with.

    module          in this package if it begins with a dot
    packages        what it imports
    install         what to give to pip where they are missing
    threads         how it is told its number of threads
    environments    of its processes, by name: all are tried, the fastest counts
    denormals       what it does with numbers below 1e-38: "kept", or "flushed" to 0, which it
                    cannot be kept from; no case comes near them
    """

    module: str
    packages: tuple[str, ...]
    install: str
    threads: str
    environments: Mapping[str, Mapping[str, str]] = {"": {}}
    denormals: str = "kept"

    def is_installed(self) -> bool:
        """Return whether all packages are there; imports none of them."""
        return all(util.find_spec(package) is not None for package in self.packages)

    def versions(self) -> dict[str, str]:
        """Return the versions of its packages."""
        projects = metadata.packages_distributions()
        return {name: metadata.version(projects[name][0]) for name in self.packages}


#: Those that are ready at once: the others compile for seconds.
QUICK = ("numpy", "torch", "onednn", "onnxruntime")

_TORCH = Rival("bench.rivals.torch_rival", ("torch",), "torch", "torch.set_num_threads")

RIVALS: dict[str, Rival] = {
    "numpy": Rival(
        "bench.rivals.numpy_rival",
        packages=("numpy",),
        install="numpy",
        threads="OPENBLAS_NUM_THREADS and its like",
    ),
    "torch": _TORCH,
    "torch.compile": _TORCH._replace(module="bench.rivals.torch_compile_rival"),
    "onednn": _TORCH._replace(module="bench.rivals.onednn_rival"),
    "onnxruntime": Rival(
        "bench.rivals.onnxruntime_rival",
        packages=("onnxruntime", "onnx"),
        install="onnxruntime onnx",
        threads="SessionOptions.intra_op_num_threads",
    ),
    "keras": Rival(
        "bench.rivals.keras_rival",
        packages=("keras", "tensorflow"),
        install="keras tensorflow-cpu",
        threads="tf.config.threading.set_intra_op_parallelism_threads",
        environments={
            "one operation at once": {"TF_NUM_INTEROP_THREADS": "1"},
            "two operations at once": {"TF_NUM_INTEROP_THREADS": "2"},
        },
        denormals="flushed",
    ),
    "jax": Rival(
        "bench.rivals.jax_rival",
        packages=("jax",),
        install="jax",
        threads="the processors that its process may use",
        denormals="flushed",
    ),
}
