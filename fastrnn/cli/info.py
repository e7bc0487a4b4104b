"""`fastrnn info`: what the engine found on this machine, and how fast it is."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata

import fastrnn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `fastrnn info`: none."""


def run(arguments: argparse.Namespace) -> int:
    """Print the facts; return the exit status."""
    from fastrnn.kernels.cpu import machine

    facts = machine.describe()
    peak = machine.measure_peak(fastrnn.get_num_threads())
    rows = [(name.replace("_", " "), str(value)) for name, value in facts.items()]
    place = next((i for i, (name, _) in enumerate(rows) if name == "cache folder"), len(rows))
    rows.insert(place, ("arithmetic peak", f"{peak:,.0f} GFLOP/s measured in float32"))
    rows += [(name, value) for name, value in versions() if name not in facts]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value}")
    return 0


def versions() -> list[tuple[str, str]]:
    """Return the versions that decide the results."""
    packages = ("numpy", "numba", "llvmlite", "safetensors")
    return [
        ("fastrnn", fastrnn.__version__),
        ("python", platform.python_version()),
        *((name, metadata.version(name)) for name in packages),
    ]
