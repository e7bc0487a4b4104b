"""`fastrnn info`, `--help` and `--version`."""

import pytest


def test_info_names_machine_and_versions(call):
    result = call("info")
    assert result.status == 0
    assert result.err == ""
    for expected in (
        "processor",
        "instruction set",
        "tile",
        "threads",
        "threading layer",
        "GFLOP/s",
        "cache folder",
        "fastrnn",
        "numba",
        "numpy",
        "python",
    ):
        assert expected in result.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--help"], "generate"),
        (["train", "--help"], "--learning-rate"),
        (["generate", "--help"], "--top-p"),
        (["info", "--help"], "info"),
        (["--version"], "fastrnn "),
    ],
)
def test_help_and_version(call, capfd, words, expected):
    with pytest.raises(SystemExit) as caught:
        call(*words)
    assert caught.value.code == 0
    assert expected in capfd.readouterr().out


def test_help_needs_no_heavy_import(spawn):
    before = "import sys; sys.modules['rich'] = sys.modules['matplotlib'] = None"
    process = spawn("train", "--help", before=before)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "--resume" in out


@pytest.mark.parametrize("option", ["units", "dropout", "batch", "epochs", "schedule"])
def test_help_shows_the_defaults(call, capfd, option):
    from fastrnn.cli.options import Options

    with pytest.raises(SystemExit):
        call("train", "--help")
    text = " ".join(capfd.readouterr().out.split())
    assert f"(default: {getattr(Options(), option)})" in text
