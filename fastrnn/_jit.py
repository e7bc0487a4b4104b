"""The only place that spells Numba options: `kernel` for loops, `pointwise` for formulas.

Compiled code is cached on disk.  Numba stamps a cache file with the date of the file that
defines the function; a kernel here is compiled together with formulas and micro-kernels of
other files, so the stamp is a digest of every source that can end up in machine code.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import caching
from numba.core.compiler import CompilerBase, DefaultPassBuilder

_PACKAGE = Path(__file__).resolve().parent
_COMPILED_SOURCES = (
    "_jit.py",
    "simd/*.py",
    "cells/*.py",
    "kernels/cpu/*.py",
    "kernels/cpu/scan/*.py",
    "onnx/coupled_peephole.py",
)

# What a kernel may assume of floating point: no signed zeros to keep, sums may be contracted
# into FMAs and reordered, but NaN and infinity stay: "nnan" and "ninf" are left out.
_FAST_MATH = {"nsz", "arcp", "contract", "afn", "reassoc"}

# Passes for closures, comprehensions and whole arrays, of which kernels have none.
_NEEDLESS_PASSES = {"InlineClosureLikes", "NopythonRewrites"}


class _Pipeline(CompilerBase):  # type: ignore[misc]
    """Numba's own pipeline without needless passes: a tenth of what it takes."""

    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [p for p in passes.passes if p[0].__name__ not in _NEEDLESS_PASSES]
        passes.finalize()
        return [passes]


_OPTIONS: dict[str, Any] = {
    "pipeline_class": _Pipeline,
    # Division by zero gives inf or NaN as in NumPy; the default's exception branch stops
    # vectorisation (12 against 1.5 ns an element).
    "error_model": "numpy",
    "fastmath": _FAST_MATH,
    # Kernels never touch Python objects, so other Python threads may run meanwhile.
    "nogil": True,
    # Nothing calls a kernel from the interpreter directly; see `kernels.cpu.task`.
    "no_cpython_wrapper": True,
    "_nrt": False,
}

#: Options for formulas that must melt into the loop around them: `@overload(..., jit_options=)`.
POINTWISE: dict[str, Any] = {**_OPTIONS, "forceinline": True, "no_cfunc_wrapper": True}


def kernel(function: Callable[..., Any], *, is_cached: bool = True) -> Any:
    """Compile a loop over raw memory; the machine code is cached on disk if `is_cached`."""
    compiled = njit(**_OPTIONS)(function)
    return _cached(compiled) if is_cached else compiled


def pointwise(function: Callable[..., Any]) -> Any:
    """Compile a formula of one element or one vector; always inlined into its caller."""
    return njit(**POINTWISE)(function)


def part(function: Callable[..., Any]) -> Any:
    """Compile a piece of a kernel: a function that only kernels call, cached within them."""
    return njit(**_OPTIONS, no_cfunc_wrapper=True)(function)


def machine_address(compiled: Any, signature: Any, *, is_bare: bool = False) -> int:
    """Return the address of the C function that `kernel` made for a signature.

    is_bare    of the function behind it instead, which is called as Numba's own functions are
    """
    compiled.compile(signature)
    result = compiled.get_compile_result(signature)
    names = result.fndesc
    name = names.llvm_func_name if is_bare else names.llvm_cfunc_wrapper_name
    return int(result.library.get_pointer_to_function(name))


@cache
def cache_folder() -> Path | None:
    """Return the folder that holds compiled kernels, or None where nothing can be written.

    `NUMBA_CACHE_DIR` where it is set, else `__pycache__` of the package, else the user's cache
    folder when the package is installed read-only.
    """
    override = os.environ.get("NUMBA_CACHE_DIR")
    if override:
        candidates = [Path(override) / "fastrnn"]
    else:
        user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        place = hashlib.sha256(os.fsencode(_PACKAGE)).hexdigest()[:12]
        candidates = [_PACKAGE / "__pycache__", user / "fastrnn" / place]
    return next((folder for folder in candidates if _is_writable(folder)), None)


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@cache
def _stamp() -> str:
    """Digest of all sources that are compiled into kernels."""
    digest = hashlib.sha256()
    for pattern in _COMPILED_SOURCES:
        for path in sorted(_PACKAGE.glob(pattern)):
            digest.update(str(path.relative_to(_PACKAGE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def is_stamped(kind: type) -> bool:
    """Return whether the stamp covers the source of a class: whether it is the package's own."""
    return kind.__module__.startswith(f"{__package__}.")


class _Locator(caching._CacheLocator):  # type: ignore[misc]
    """Where a kernel's machine code is kept and which sources it belongs to."""

    def __init__(self, py_func: Callable[..., Any]) -> None:
        self._module = py_func.__module__

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return _stamp()

    def get_disambiguator(self) -> str:
        return self._module

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator:
        return cls(py_func)


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    def __init__(self, py_func: Callable[..., Any]) -> None:
        self._locator = _Locator(py_func)
        name = f"{py_func.__module__}.{py_func.__qualname__}"
        self._filename_base = self.get_filename_base(name, getattr(sys, "abiflags", ""))

    def check_cachable(self, cres: Any) -> bool:
        return not cres.library.has_dynamic_globals


class _Files(caching.IndexDataCacheFile):  # type: ignore[misc]
    """Files that tell what their code was made of.

    Numba writes the index first, and picks names by number: after a process that ended in between,
    or two that wrote at once, the index may name a file with other code.
    """

    def save(self, key: Any, data: Any) -> None:
        super().save(key, (self._source_stamp, key, data))

    def load(self, key: Any) -> Any:
        found = super().load(key)
        if found is None or found[:2] != (self._source_stamp, key):
            return None
        return found[2]


class _Cache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _Implementation

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)
        locator, base = self._impl.locator, self._impl.filename_base
        self._cache_file = _Files(locator.get_cache_path(), base, locator.get_source_stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling a damaged file may raise
            self.flush()
            found = None
        if found is None:
            announce_compilation()
        return found


def _cached(dispatcher: Any) -> Any:
    if cache_folder() is not None:
        dispatcher._cache = _Cache(dispatcher.py_func)
    return dispatcher


_announced = False


def announce_compilation() -> None:
    """Say once per process, on standard error, that kernels are being compiled."""
    global _announced
    if not _announced:
        _announced = True
        print(
            "fastrnn: compiling kernels for this processor; this happens once.",
            file=sys.stderr,
            flush=True,
        )
