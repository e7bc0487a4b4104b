"""Programs that users copy: the examples of docstrings and of the README."""

import doctest
import importlib
import importlib.util
import re
import sys
from pathlib import Path

import pytest

import fastrnn

# What a module needs besides the package itself, by the part it is in.
NEEDED = {"torch": "torch", "onnx": "onnx", "keras": "h5py", "sklearn": "sklearn"}

PACKAGE = Path(fastrnn.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(("fastrnn", *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_of_docstrings_run(name):
    part = name.split(".")[1] if "." in name else ""
    if part in NEEDED:
        pytest.importorskip(NEEDED[part])
    importlib.import_module(name)
    # Not what import_module returns: a function of the same name may hide the module.
    results = doctest.testmod(sys.modules[name])
    assert results.attempted > 0
    assert results.failed == 0


def test_programs_of_the_readme_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    programs = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert programs
    for program in programs:
        if "import torch" in program and importlib.util.find_spec("torch") is None:
            continue
        exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})
