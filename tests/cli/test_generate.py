"""`fastrnn generate`: text on standard output, character by character."""

import os
import subprocess

import pytest


@pytest.mark.parametrize("prompt", ["", "7 Vög", "漢"])
@pytest.mark.parametrize("length", [1, 50])
def test_prompt_then_length_characters(call, trained, prompt, length):
    result = call("generate", trained, "--prompt", prompt, "--length", length)
    assert result.status == 0
    assert result.err == ""
    assert result.out.startswith(prompt)
    assert len(result.out) == len(prompt) + length + 1
    assert "\ufffd" not in result.out


def test_the_same_seed_gives_the_same_text(call, trained):
    first, again, other = (call("generate", trained, "--seed", seed).out for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_zero_temperature_needs_no_seed(call, trained):
    texts = {call("generate", trained, "--temperature", "0", "--seed", n).out for n in range(3)}
    assert len(texts) == 1
    greedy = call("generate", trained, "--top-p", "1e-9", "--temperature", "1").out
    assert texts == {greedy}


def test_unknown_letters_of_a_prompt_are_named(call, trained):
    result = call("generate", trained, "--prompt", "Ω!", "--length", "5")
    assert result.status == 0
    assert result.out.startswith("Ω!")
    assert result.err.count("\n") == 1
    assert r"\u03a9" in result.err


def test_output_is_utf8_in_any_locale(spawn, trained):
    for environment in (
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ):
        process = spawn("generate", trained, "--prompt", "漢 ö", environment=environment)
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert out.startswith("漢 ö")


def test_a_reader_that_leaves_early_gets_no_traceback(spawn, trained):
    with spawn("generate", trained, "--length", "1000000") as process:
        assert process.stdout.read(20)
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=60)
    assert err == ""
    assert process.returncode == 141


def test_closed_streams_are_survived(spawn, trained):
    if os.name == "nt":
        pytest.skip("no preexec_fn")
    process = spawn(
        "generate",
        trained,
        "--length",
        "5",
        before="import sys; sys.stdout = sys.stderr = None",
        stdout=subprocess.PIPE,
    )
    out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "", "")


def test_text_comes_before_the_end(spawn, trained):
    with spawn("generate", trained, "--length", "100000000") as process:
        assert len(process.stdout.read(3)) == 3
        process.kill()
