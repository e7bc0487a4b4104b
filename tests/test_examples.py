"""Programs that users copy: the examples of docstrings and of the README."""

import doctest
import importlib
import re
import sys
from pathlib import Path

import pytest

import fastrnn

PACKAGE = Path(fastrnn.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(("fastrnn", *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_of_docstrings_run(name):
    importlib.import_module(name)
    # Not what import_module returns: a function of the same name may hide the module.
    results = doctest.testmod(sys.modules[name])
    assert results.attempted > 0
    assert results.failed == 0


def test_programs_of_the_readme_run():
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    programs = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert programs
    for program in programs:
        exec(compile(program, "README.md", "exec"), {"__name__": "__main__"})
