"""Runs of recipes that are stopped or killed, and go on as if they never had been."""

import errno
import itertools
import json
import random
import signal
import subprocess
from contextlib import contextmanager

import numpy as np
import pytest

from fastrnn.cli.recipe_progress import RecipeDisplay
from fastrnn.cli.recipe_session import KIND
from fastrnn.models import load_model
from fastrnn.models.run_folder import RunFolder
from fastrnn.recipes import digits, words
from fastrnn.recipes.continuation import Continuation

TASKS = ("digits", "g2p", "music", "sentiment", "series", "words")
#: Options of small models.
SMALL = {
    "digits": "--units 4 --batch 32 --cell gru",
    "g2p": "--units 4 --embedding 4 --batch 20 --beams 2 --dropout 0.3",
    "music": "--units 4 --batch 2",
    "sentiment": "--units 4 --embedding 4 --batch 16 --dropout 0.3",
    "series": "--units 4 --batch 16 --window 8 --dropout 0.2",
    "words": "",
}


@pytest.fixture
def images(monkeypatch):
    rng = np.random.default_rng(3)
    images, labels = rng.random((200, 5, 4), np.float32), np.arange(200) % 10
    monkeypatch.setitem(digits.SOURCES, "sklearn", lambda: (images, labels))


@pytest.fixture
def files(tmp_path, images, monkeypatch):
    """The data of all tasks, as the command line takes them."""
    rng = np.random.default_rng(4)
    letters = ["".join(word) for word in itertools.product("abcde", repeat=3)] + ["abcd"] * 2
    lexicon = tmp_path / "lexicon"
    lexicon.write_text("\n".join(f"{word} {' '.join(word.upper())}" for word in letters))
    reviews = tmp_path / "reviews"
    vocabulary = ["good", "bad", "film", "a", "very"]
    reviews.write_text("".join(
        f"{rng.normal():.2f}\t{' '.join(rng.choice(vocabulary, rng.integers(1, 9)))}\n"
        for _ in range(140)
    ))  # fmt: skip
    table = tmp_path / "table.csv"
    table.write_text("\n".join(str(np.sin(t / 3)) for t in range(170)))
    text = tmp_path / "text"
    text.write_text("".join(f"{' '.join(rng.choice(list('abcd'), 9))}\n" for _ in range(43)))
    monkeypatch.setitem(words.SIZES, "small", words.Size(6, 5, 0.3, 0.3, 3, 1, 0.5, 5.0))
    found = {
        "digits": [], "g2p": [lexicon], "sentiment": [reviews], "series": [table],
        "words": [text] * 3,
    }  # fmt: skip
    try:
        from scipy import io
    except ImportError:
        return found
    cells = {
        f"{name}data": np.array([(rng.random((n, 88)) < 0.1) * 1.0 for n in lengths] + [None],
                                dtype=object)[:-1]
        for name, lengths in {"train": (9, 5, 7, 8, 6), "valid": (4, 6), "test": (5,)}.items()
    }  # fmt: skip
    io.savemat(tmp_path / "rolls.mat", cells)
    return found | {"music": [tmp_path / "rolls.mat"]}


@pytest.fixture
def command(files):
    """Return the words that train a small model of a task."""

    def command(task, out, epochs=3):
        if task not in files:
            pytest.skip("the data of this task are made by scipy")
        return ["train", task, *files[task], *SMALL[task].split(), "--epochs", epochs,
                "--out", out]  # fmt: skip

    return command


@contextmanager
def interrupted(step, number=signal.SIGINT, owner=RecipeDisplay, event="on_train_batch_end"):
    """Let a run receive a signal at the step-th event of a kind, from 1."""
    real = getattr(owner, event)
    count = itertools.count(1)

    def heard(self, *arguments, **named):
        if next(count) == step:
            signal.raise_signal(number)
        real(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, event, heard)
        yield


def result_of(out):
    """Return all that a run ends with, but for the time that it took."""
    report = json.loads((out / "report.json").read_text())
    checkpoint = RunFolder.open(out, kind=KIND).load("last")
    progress = json.loads(json.dumps(checkpoint.progress))
    for kept in progress["listeners"].values():
        kept.pop("seconds", None)
    arrays = {
        name: (array.dtype.name, array.tobytes())
        for name, array in (dict(checkpoint.weights) | dict(checkpoint.training)).items()
    }
    weights = [array.tobytes() for array in load_model(out / "model.fastrnn").get_weights()]
    return report, progress, arrays, weights


def steps_of(out):
    """Return the steps of an epoch: a finished run's last checkpoint is from before the last."""
    return RunFolder.open(out, kind=KIND).load("last").progress["step"] + 1


@pytest.mark.parametrize("task", TASKS)
def test_a_stopped_run_goes_on_bit_for_bit(call, command, task, tmp_path):
    assert call(*command(task, tmp_path / "whole")).status == 0
    whole = result_of(tmp_path / "whole")
    steps = steps_of(tmp_path / "whole")
    assert steps > 2
    # The last stop is after the second one, in the same run.
    for name, stops in {
        "a": [1], "b": [steps + 2], "c": [2 * steps], "d": [3 * steps], "e": [2, steps],
    }.items():  # fmt: skip
        out = tmp_path / f"in parts {name}"
        line = command(task, out)
        for step in stops:
            with interrupted(step):
                result = call(*line)
            assert result.status == 130
            line = ["train", task, "--resume", out]
            assert f"fastrnn train {task} --resume '{out}'" in result.out
        assert call(*line).status == 0
        for ours, wanted in zip(result_of(out), whole, strict=True):
            assert ours == wanted


@pytest.mark.parametrize(
    ("owner", "event", "number"),
    [
        (Continuation, "on_test_batch_begin", 2),
        (Continuation, "on_epoch_begin", 2),
        (Continuation, "on_train_end", 1),
        (RecipeDisplay, "on_epoch_end", 3),
    ],
)
def test_it_stops_between_steps_as_well(call, command, tmp_path, owner, event, number):
    assert call(*command("digits", tmp_path / "whole")).status == 0
    out = tmp_path / "out"
    with interrupted(number, signal.SIGTERM, owner, event):
        assert call(*command("digits", out)).status == 128 + signal.SIGTERM
    assert call("train", "--resume", out).status == 0
    assert result_of(out) == result_of(tmp_path / "whole")


def test_control_c_while_measuring(call, command, tmp_path, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    assert call(*command("digits", tmp_path / "whole")).status == 0
    with monkeypatch.context() as patch:
        patch.setattr(digits.Digits, "evaluate", interrupt)
        result = call(*command("digits", tmp_path / "out"))
    assert result.status == 130
    assert "--resume" in result.out
    assert call("train", "digits", "--resume", tmp_path / "out").status == 0
    assert result_of(tmp_path / "out") == result_of(tmp_path / "whole")


def test_a_process_that_is_killed_goes_on_bit_for_bit(call, command, spawn, tmp_path, monkeypatch):
    words = command("sentiment", tmp_path / "whole")
    assert call(*words).status == 0
    out = tmp_path / "out"
    words[-1] = out
    # Slow enough to be hit, and saving all the time.
    before = """
import time
from fastrnn.recipes import continuation
continuation.SAVE_SECONDS = continuation._SHARE = 0.0
class Slow(continuation.Continuation):
    def on_train_batch_begin(self, batch, logs=None):
        self._due = 0.0
        super().on_train_batch_begin(batch, logs)
        print("step", flush=True)
        time.sleep(0.02)
from fastrnn.cli import recipe_session
recipe_session.Continuation = Slow
"""
    rng = random.Random(5)
    for _ in range(4):
        with spawn(*words, before=before, stderr=subprocess.DEVNULL) as process:
            for line in process.stdout:
                if line.startswith("step"):
                    break
            try:
                process.wait(rng.uniform(0.0, 0.3))
            except subprocess.TimeoutExpired:
                process.kill()
        RunFolder.open(out, kind=KIND).load("last")
        words = ["train", "sentiment", "--resume", out]
    if not (out / "report.json").exists():
        assert call(*words).status == 0
    assert result_of(out) == result_of(tmp_path / "whole")


def test_a_disk_that_is_full_leaves_the_last_checkpoint(call, command, tmp_path, monkeypatch):
    assert call(*command("digits", tmp_path / "whole")).status == 0
    out = tmp_path / "out"
    real, count = RunFolder.save, itertools.count()

    def save(self, *arguments, **named):
        if next(count) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(self.path))
        real(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save", save)
        result = call(*command("digits", out))
    assert result.status == 2
    assert "No space left on device" in result.err
    assert f"fastrnn train digits --resume {out}" in result.err
    assert call("train", "digits", "--resume", out).status == 0
    assert result_of(out) == result_of(tmp_path / "whole")


def test_a_finished_run_says_so_and_may_be_extended(call, command, tmp_path):
    out = tmp_path / "out"
    assert call(*command("series", out, epochs=2)).status == 0
    before = result_of(out)
    result = call("train", "series", "--resume", out)
    assert result.status == 0
    assert "finished" in result.out
    assert result_of(out) == before

    assert call("train", "series", "--resume", out, "--epochs", "4").status == 0
    assert call(*command("series", tmp_path / "whole", epochs=4)).status == 0
    ours, wanted = result_of(out), result_of(tmp_path / "whole")
    assert ours == wanted
    assert len(ours[0]["history"]["loss"]) == 4
    assert "finished" in call("train", "--resume", out).out


def test_a_time_budget_goes_on(call, command, tmp_path):
    out = tmp_path / "out"
    line = command("g2p", out, epochs=1000)
    with interrupted(3):
        assert call(*line, "--minutes", "0.005").status == 130
    assert call("train", "--resume", out).status == 0
    kept = RunFolder.open(out, kind=KIND).load("last").progress["listeners"]
    assert next(v for name, v in kept.items() if name.startswith("Deadline"))["seconds"] > 0
    assert call("train", "--resume", out, "--minutes", "0.006").status == 0


@pytest.fixture
def trained(call, command, tmp_path):
    out = tmp_path / "trained"
    assert call(*command("digits", out, epochs=2)).status == 0
    return out


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        ("--units 5", "--units: cannot be changed"),
        ("--seed 1", "--seed: cannot be changed"),
        ("--out x", "--out: cannot be changed"),
        ("--epochs 1", "at least this run's 2"),
        ("--minutes 1", "not given that way"),
    ],
)
def test_what_cannot_change(call, trained, words, fragment):
    result = call("train", "digits", *words.split(), "--resume", trained)
    assert (result.status, result.out) == (2, "")
    assert fragment in result.err


def changed(name, value):
    def change(out):
        content = json.loads((out / "run.json").read_text())
        if value is None:
            del content["settings"][name]
        else:
            content["settings"][name] = value
        (out / "run.json").write_text(json.dumps(content))

    return change


DAMAGES = {
    "no run.json": (lambda out: (out / "run.json").unlink(), "no run.json"),
    "no checkpoint": (lambda out: (out / "last.json").unlink(), "no last checkpoint"),
    "a damaged checkpoint": (
        lambda out: next((out / "checkpoints").glob("*/weights.safetensors")).write_bytes(b"x"),
        "SHA-256",
    ),
    "no task": (changed("task", None), "run.json: damaged, no 'task'"),
    "no such task": (changed("task", "chess"), "damaged"),
    "no such option": (changed("options", {"unit": 3}), "damaged"),
    "an option out of its limits": (changed("options", {"units": 0}), "units"),
    "another model": (changed("options", {"units": 5, "cell": "gru"}), "last checkpoint: '00000"),
    "no seed": (changed("seed", "one"), "damaged"),
    "files of a task that has none": (changed("files", 5), "files: got 5"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_runs_that_are_damaged_are_refused(call, trained, damage):
    change, fragment = DAMAGES[damage]
    change(trained)
    (trained / "report.json").unlink()
    result = call("train", "digits", "--resume", trained)
    assert (result.status, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert str(trained) in result.err
    assert fragment in result.err


def test_other_data_are_refused(call, command, files, tmp_path):
    out = tmp_path / "out"
    with interrupted(2):
        assert call(*command("series", out)).status == 130
    path = files["series"][0]
    text = path.read_text()
    path.write_text(text + "\n1")
    assert f"{path}: the data are not those" in call("train", "series", "--resume", out).err
    path.unlink()
    assert f"{path}: No such file" in call("train", "series", "--resume", out).err
    path.write_text(text)
    assert "expected a run of g2p, got one of series" in call("train", "g2p", "--resume", out).err
    assert call("train", "series", "--resume", out).status == 0


def test_only_one_process_trains_a_run(call, trained):
    pytest.importorskip("fcntl")
    with RunFolder.open(trained, kind=KIND).lock():
        result = call("train", "--resume", trained, "--epochs", 3)
    assert result.status == 2
    assert "another process" in result.err
