"""Bad input: exit status 2, one line on standard error, nothing else."""

import errno
import json
import os
from pathlib import Path

import pytest


def assert_refused(result, *fragments):
    assert result.status == 2
    assert result.out == ""
    assert result.err.count("\n") == 1
    assert result.err.endswith("\n")
    assert result.err.startswith("fastrnn: error: ")
    for fragment in fragments:
        assert fragment in result.err


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        ("", "COMMAND"),
        ("walk", "walk"),
        ("train --unit 5", "--unit"),
        ("train --units 0", "--units"),
        ("train --units 2.5", "--units"),
        ("train --units", "--units"),
        ("train --layers 65", "--layers"),
        ("train --embedding -1", "--embedding"),
        ("train --dropout 1", "--dropout"),
        ("train --dropout nan", "--dropout"),
        ("train --batch 0", "--batch"),
        ("train --window x", "--window"),
        ("train --epochs 0", "--epochs"),
        ("train --minutes 0", "--minutes"),
        ("train --minutes inf", "--minutes"),
        ("train --minutes 1 --epochs 2", "--minutes"),
        ("train --learning-rate 0", "--learning-rate"),
        ("train --learning-rate -1e-3", "--learning-rate"),
        ("train --clip -1", "--clip"),
        ("train --seed -1", "--seed"),
        ("train --seed 4294967296", "--seed"),
        ("train --threads 0", "--threads"),
        ("train --threads 1025", "--threads"),
        ("train --cell lsmt", "--cell"),
        ("train --schedule step", "--schedule"),
        ("train --resume absent", "no such folder"),
        ("train sentimen", "sentimen: no such file; is the task sentiment meant?"),
        ("train --epochs 3 words", "words: no such file; is the task words meant?"),
        ("train absent.txt", "absent.txt: No such file"),
        ("generate", "RUN"),
        ("generate absent", "no such folder"),
        ("generate absent --length 0", "--length"),
        ("generate absent --length 1e3", "--length"),
        ("generate absent --temperature -1", "--temperature"),
        ("generate absent --temperature nan", "--temperature"),
        ("generate absent --top-p 0", "--top-p"),
        ("generate absent --top-p 1.1", "--top-p"),
        ("generate absent --seed x", "--seed"),
        ("info please", "please"),
    ],
)
def test_impossible_words(call, words, fragment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(call(*words.split()), fragment)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (None, "No such file"),
        (b"", "empty"),
        (b"too short", "too short"),
        (b"caf\xe9 " * 1000, "UTF-8"),
    ],
)
def test_unusable_texts(call, tmp_path, content, fragment):
    path, out = tmp_path / "line\nend\x1b.txt", tmp_path / "out"
    if content is not None:
        path.write_bytes(content)
    assert_refused(call("train", path, "--out", out), fragment)
    assert not out.exists()


def test_a_folder_instead_of_a_text(call, tmp_path):
    assert_refused(call("train", tmp_path, "--out", tmp_path / "out"), str(tmp_path), "folder")


def test_a_python_without_documentation(call, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydoc_data.topics", None)
    assert_refused(call("train", "--out", tmp_path / "out"), "give a text file")


def test_unusable_output_folders(call, book, tiny, tmp_path):
    assert_refused(call("train", book, *tiny, "--out", tmp_path), "not empty")
    assert_refused(call("train", book, *tiny, "--out", book), str(book))
    assert_refused(call("train", book, *tiny, "--out", book / "below"), str(book))
    if Path("/proc").is_dir():
        assert_refused(call("train", book, *tiny, "--out", "/proc/run"), "/proc/run")


def test_an_unwritable_output_folder(call, book, tiny, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / "out"))

    # Not by mode bits: the tests may run as root.
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert_refused(
        call("train", book, *tiny, "--out", tmp_path / "out"), "Permission denied", "out"
    )


def damage_weights(run):
    (path,) = run.glob("checkpoints/*/weights.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def truncate_training(run):
    for path in run.glob("checkpoints/*/training.safetensors"):
        os.truncate(path, 100)


def remove_checkpoints(run):
    for path in run.glob("checkpoints/*/*"):
        path.unlink()


def remove_pointers(run):
    (run / "last.json").unlink()
    (run / "best.json").unlink()


def change_settings(**changes):
    def change(run):
        content = json.loads((run / "run.json").read_text())
        content["settings"] |= changes
        (run / "run.json").write_text(json.dumps(content))

    return change


def change_kind(run):
    content = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(content | {"kind": "image-classifier"}))


@pytest.mark.parametrize("command", [("generate",), ("train", "--resume")])
@pytest.mark.parametrize(
    "damage",
    [
        damage_weights,
        truncate_training,
        remove_checkpoints,
        remove_pointers,
        change_kind,
        change_settings(vocabulary=["a", "b"]),
        change_settings(vocabulary="ab"),
        change_settings(model={"units": "many"}),
        change_settings(model=None),
        lambda run: (run / "run.json").unlink(),
        lambda run: (run / "run.json").write_bytes(b"\xff{}"),
        lambda run: (run / "run.json").write_text("{"),
        lambda run: [(run / f"{name}.json").write_text("[]") for name in ("last", "best")],
    ],
)
def test_damaged_runs(call, trained, command, damage):
    damage(trained)
    assert_refused(call(*command, trained), str(trained))


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {}},
        {"options": None},
        {"text": {}},
        {"text": "book"},
        {"text": {"files": 3, "sha256": ""}},
    ],
)
def test_runs_with_damaged_options_do_not_go_on(call, trained, changes):
    change_settings(**changes)(trained)
    assert_refused(call("train", "--resume", trained), str(trained))


@pytest.mark.parametrize("value", [0, -1, True, "8", 1e9, None])
def test_runs_with_impossible_options_do_not_go_on(call, trained, value):
    content = json.loads((trained / "run.json").read_text())
    change_settings(options=content["settings"]["options"] | {"window": value})(trained)
    assert_refused(call("train", "--resume", trained), "window")


def test_a_text_that_changed_or_is_gone(call, trained, book):
    book.write_text(book.read_text("utf-8") + "!", "utf-8")
    assert_refused(call("train", "--resume", trained), str(book), "not the one")
    book.unlink()
    assert_refused(call("train", "--resume", trained), str(book), "No such file")


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--units", "9"], "--units"),
        (["--learning-rate", "0.1"], "--learning-rate"),
        (["--out", "elsewhere"], "--out"),
        (["--epochs", "2"], "--epochs"),
        (["--minutes", "2"], "--minutes"),
        (["text.txt"], "FILE"),
    ],
)
def test_what_cannot_change_when_going_on(call, trained, words, fragment):
    assert_refused(call("train", *words, "--resume", trained), fragment)


def test_too_little_memory(call, book, tmp_path, monkeypatch):
    from fastrnn.models.language import LanguageModel

    def refuse(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(LanguageModel, "__init__", refuse)
    assert_refused(call("train", book, "--out", tmp_path / "out"), "memory")


@pytest.mark.parametrize("first", [0, 3, 12, 20, 35])
def test_a_full_disk_keeps_the_last_checkpoint(call, book, tiny, tmp_path, monkeypatch, first):
    real, calls = os.fsync, iter(range(10_000))

    def fsync(file):
        if next(calls) >= first:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    result = call("train", book, *tiny, "--out", tmp_path / "out")
    monkeypatch.undo()
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert "No space left on device" in result.err
    assert ("--resume" in result.err) == (tmp_path / "out" / "last.json").exists()
    if first > 12:
        assert call("train", "--resume", tmp_path / "out").status == 0


def test_mistakes_of_the_program_keep_their_traceback(call, book, tiny, tmp_path, monkeypatch):
    from fastrnn.cli import training

    def fail(*arguments, **options):
        raise ValueError("a bug")

    monkeypatch.setattr(training, "factor", fail)
    with pytest.raises(ValueError, match="a bug"):
        call("train", book, *tiny, "--out", tmp_path / "out")


def test_another_process(spawn, tmp_path):
    for words in (
        ["train", tmp_path / "absent"],
        ["generate", tmp_path],
        ["train", "--units", "x"],
    ):
        process = spawn(*words)
        out, err = process.communicate()
        assert process.returncode == 2
        assert out == ""
        assert err.count("\n") == 1
