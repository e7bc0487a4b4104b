"""What holds for the sources as a whole: who imports whom, who compiles, what is documented."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from processes import run_python

import fastrnn
from fastrnn import _jit

PACKAGE = Path(fastrnn.__file__).parent
# An installation has the benchmark suite in it, which is a program of its own.
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if PACKAGE / "bench" not in path.parents)

# From the bottom up.  A file may import from its own layer and from those below.
LAYERS = [
    ("_jit", "reference"),
    ("simd", "cells"),
    ("kernels",),
    ("_validate",),
    ("functional", "random"),
    ("tape", "ops"),
    ("activations", "initializers", "regularizers", "constraints", "optimizers", "preprocessing"),
    ("layers", "losses", "metrics"),
    ("callbacks", "models", "datasets", "data", "utils", "saving"),
    ("recipes",),
    ("torch", "sklearn", "keras", "onnx", "distributed"),
    ("cli",),
]
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}

PUBLIC = ("", "__version__", "get_num_threads", "set_num_threads")
OPTIONAL = (
    "torch", "matplotlib", "safetensors", "rich", "onnx", "keras", "mpi4py", "bench",
    "fastrnn.bench", "fastrnn.cli",
)  # fmt: skip


def name_of(path):
    """Dotted name of a source within the package: `simd.vector`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_of(path):
    """Dotted names of all modules and of what is imported from them, anywhere in a file."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "fastrnn":
                yield from (f"fastrnn.{alias.name}" for alias in node.names)
            else:
                yield node.module


def own_imports_of(path):
    """Parts of the package that a file imports, without the package's name."""
    for name in imports_of(path):
        if name.split(".")[0] == "fastrnn":
            yield name.removeprefix("fastrnn").removeprefix(".")


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_point_downwards(path):
    part = name_of(path).split(".")[0]
    if part in ("", "__main__"):
        return  # the names of the package, and the program: on top of everything
    assert part in LEVELS, f"{part}: not yet in the list of layers"
    for name in own_imports_of(path):
        below = name.split(".")[0]
        if part == "cli" and below in PUBLIC:
            continue  # the program is above the package's own names
        assert below in LEVELS, f"imports {name!r}"
        assert LEVELS[below] <= LEVELS[part], f"imports {name!r} from above"


def test_reference_shares_nothing_with_the_engine():
    for path in (PACKAGE / "reference").glob("*.py"):
        for name in imports_of(path):
            top = name.split(".")[0]
            own = name.startswith("fastrnn.reference")
            assert own or top in ("numpy", "typing", "collections", "__future__"), f"{path}: {name}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_only_one_file_spells_options_of_numba(path):
    if path.name == "_jit.py":
        return
    for node in ast.walk(parsed(path)):
        names = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numba":
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        for compiler in ("njit", "jit", "vectorize", "guvectorize", "cfunc", "stencil"):
            assert compiler not in names, f"line {node.lineno}: {compiler}"
        if isinstance(node, ast.keyword):
            assert node.arg not in (
                "fastmath",
                "error_model",
                "nogil",
                "parallel",
                "forceinline",
            ), f"line {node.value.lineno}: {node.arg}"


COMPILING = {"kernel", "part", "pointwise", "parallel", "task", "intrinsic", "overload"}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_compiled_source_is_in_the_stamp_of_the_cache(path):
    decorators = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                call = decorator.func if isinstance(decorator, ast.Call) else decorator
                decorators.add(getattr(call, "id", getattr(call, "attr", None)))
    covered = any(path in PACKAGE.glob(pattern) for pattern in _jit._COMPILED_SOURCES)
    assert covered or not decorators & COMPILING


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_fit_in_a_head_and_are_named_for_what_they_hold(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450
    assert not re.fullmatch(r"(utils?|common|helpers?|misc)", path.stem)


def public_definitions(path):
    """Functions, classes and methods without an underscore, outside of functions."""
    pending = list(parsed(path).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                pending += node.body


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_what_is_public_is_documented(path):
    private = any(part.startswith("_") for part in name_of(path).split("."))
    if not private and path.read_text().strip():
        assert ast.get_docstring(parsed(path)), "the module has no docstring"
    missing = [
        f"{node.name} (line {node.lineno})"
        for node in public_definitions(path)
        if not private and not ast.get_docstring(node)
    ]
    assert not missing


# Numbers, not arrays, go in and come out.
WITHOUT_ARRAYS = {"Direction", "Embedded", "Packed"}


@pytest.mark.parametrize("name", sorted(set(fastrnn.functional.__all__) - WITHOUT_ARRAYS))
def test_array_functions_give_shapes(name):
    docstring = inspect.getdoc(getattr(fastrnn.functional, name))
    assert re.search(r"\([A-Z.]+(, [A-Z. *]+)*,?\)|\(\.\.\.", docstring), "no shape"
    assert "Raises" in docstring
    assert "ValueError" in docstring


def test_import_brings_in_no_optional_dependency():
    output, _ = run_python(
        "import sys; before = set(sys.modules); import fastrnn;"
        f"print(*(name for name in {OPTIONAL} if name in set(sys.modules) - before))"
    )
    assert not output.split()


def test_every_public_name_exists():
    for module in (fastrnn, fastrnn.functional, fastrnn.layers):
        for name in module.__all__:
            assert getattr(module, name) is not None
