"""What a user does first: install, run the main job, run the tests, as the README says."""

import re
import shlex
import sys
from importlib import metadata
from pathlib import Path

import pytest

import fastrnn
from fastrnn.cli import main
from fastrnn.cli.options import Options

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]


def readme_command(name):
    """Return the steps of a command of the README, each as a list of words."""
    readme = (ROOT / "README.md").read_text("utf-8")
    found = re.findall(rf"^<!-- {name} command -->\n+```\w*\n(.*)\n```$", readme, re.MULTILINE)
    assert len(found) == 1, f"README.md: expected one line after <!-- {name} command -->"
    return [shlex.split(step) for step in found[0].split("&&")]


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def extras_named(steps):
    """Return the extras that the steps install with the package."""
    requirements = [word for step in steps if "install" in step for word in step]
    found = [re.fullmatch(r"\.\[([a-z,]+)\]", word) for word in requirements]
    return {name for match in found if match for name in match[1].split(",")}


def test_test_command_installs_the_package_and_runs_pytest(project):
    steps = readme_command("test")
    assert steps[0] == ["python3", "-m", "venv", ".venv"]
    assert extras_named(steps) == {"test"}
    assert extras_named(steps) <= project["project"]["optional-dependencies"].keys()
    assert steps[-1][0].endswith("pytest") or steps[-1][1:3] == ["-m", "pytest"]


def test_main_command_installs_what_draws_the_picture(project):
    steps = readme_command("main")
    assert "plot" in extras_named(steps)
    plot = project["project"]["optional-dependencies"]["plot"]
    assert any(requirement.startswith("matplotlib") for requirement in plot)
    assert Path(steps[-1][0]).name == "fastrnn"
    assert steps[-1][1] == "train"


def test_options_of_the_main_command_are_understood(capsys):
    words = readme_command("main")[-1][1:]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--help"])
    assert caught.value.code == 0
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert {word for word in words if word.startswith("--")} <= known
    assert Options()  # the defaults that the command relies on are within their limits


def test_version_has_a_single_source(project):
    assert project["project"]["dynamic"] == ["version"]
    source = (ROOT / project["tool"]["hatch"]["version"]["path"]).read_text("utf-8")
    assert re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE) == [fastrnn.__version__]


def test_installed_version_is_the_package_s():
    try:
        installed = metadata.version("fastrnn")
    except metadata.PackageNotFoundError:
        pytest.skip("fastrnn is not installed here")
    assert installed == fastrnn.__version__


def test_console_script_is_the_command_line(project):
    target = project["project"]["scripts"]["fastrnn"]
    entry = metadata.EntryPoint("fastrnn", target, "console_scripts")
    assert entry.load() is main


def test_license_is_the_declared_one(project):
    assert project["project"]["license"] == "BSD-3-Clause"
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("BSD 3-Clause License")


def test_nothing_but_the_package_and_its_benchmarks_is_installed(project):
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["fastrnn"]
    assert set(wheel["only-include"]) == {"fastrnn", "bench"}
    assert wheel["sources"] == {"bench": "fastrnn/bench"}
    assert "bench/test_*.py" in wheel["exclude"]
    assert not (ROOT / "fastrnn" / "bench").exists()  # it would hide the one beside it
