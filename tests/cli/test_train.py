"""`fastrnn train`: what a run shows and leaves, and going on bit for bit."""

import hashlib
import json
import math
import os
import random
import signal
import subprocess

import numpy as np
import pytest

from fastrnn.cli import progress, training
from fastrnn.cli.character_model import KIND
from fastrnn.models.run_folder import RunFolder

STEPS_AN_EPOCH = 13

SAVE_AT_EVERY_STEP = "import fastrnn.cli.training as training; training.SAVE_SECONDS = 0"


def result_of(path):
    """Everything that a run leaves but times: position, and the bytes of both array files."""
    run = RunFolder.open(path, kind=KIND)
    content = run.load("last").progress
    del content["seconds"]
    for epoch in [*content["history"], content["best"]]:
        if epoch is not None:
            del epoch["seconds"]
    sums = []
    for pointer in ("last", "best"):
        name = json.loads((path / f"{pointer}.json").read_text())["checkpoint"]
        for file in sorted((path / "checkpoints" / name).glob("*.safetensors")):
            arrays = file.read_bytes()
            sums.append((pointer, file.name, hashlib.sha256(arrays).hexdigest()))
    return content, sums


@pytest.fixture
def interrupt_at(monkeypatch):
    """Return a function that makes the next run receive a signal after a step."""

    def interrupt_at(step, number=signal.SIGINT):
        def stepped(self, trainer, *, characters):
            if trainer.position.step == step:
                signal.raise_signal(number)

        monkeypatch.setattr(progress.PlainDisplay, "stepped", stepped)

    yield interrupt_at
    monkeypatch.undo()


def test_a_run_shows_and_leaves_everything(call, book, tiny, tmp_path):
    out = tmp_path / "out"
    result = call("train", book, *tiny, "--out", out)
    assert result.status == 0
    assert result.err == ""
    text = book.read_text("utf-8")
    for expected in ("book.txt", f"{len(text):,}", "Loading", "bits per character", "xz", "bz2"):
        assert expected in result.out
    assert "\x1b" not in result.out
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((out / "checkpoints").iterdir())) in (1, 2)

    run = RunFolder.open(out, kind=KIND)
    content = run.load("last").progress
    assert content["epoch"] == 3
    assert content["step"] == 3 * STEPS_AN_EPOCH
    losses = [epoch["validation"] for epoch in content["history"]]
    assert len(losses) == 3
    assert content["best"]["validation"] == min(losses)
    assert losses[-1] < math.log2(len(run.settings["vocabulary"]) + 1)
    assert run.load("best").step == content["best"]["step"]
    assert not list(out.rglob("*.pkl"))
    assert not list(out.rglob(".tmp*"))


def test_validation_loss_is_the_mean_over_every_held_out_character(call, trained, book):
    from fastrnn.cli.character_model import load_model
    from fastrnn.preprocessing.text import Windows, fitting_batch, split

    run = RunFolder.open(trained, kind=KIND)
    model, vocabulary = load_model(run)
    _, held_out = split(book.read_text("utf-8"))
    windows = Windows(
        vocabulary.encode(held_out),
        batch=fitting_batch(len(held_out), batch=4, window=16),
        window=16,
    )
    state, nats = model.zero_state(windows.batch), 0.0
    for inputs, targets in windows:
        # One step at a time, through the logits.
        for tokens, wanted in zip(inputs, targets, strict=True):
            logits, state = model.next_logits(tokens, state)
            scores = logits.astype(np.float64)
            nats += np.log(np.exp(scores).sum(axis=1)).sum()
            nats -= scores[np.arange(len(wanted)), wanted].sum()
    bits = nats / math.log(2.0) / windows.characters
    assert run.load("last").progress["best"]["validation"] == pytest.approx(bits, rel=1e-4)


def test_default_folders_do_not_collide(call, book, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert call("train", book, *tiny, "--epochs", "1").status == 0
    first, second = (tmp_path / "runs").iterdir()
    assert first.name.startswith("book-")
    assert second.name.startswith("book-")


def test_the_same_seed_gives_the_same_bits(call, finished, book, tiny, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        assert call("train", book, *tiny, "--seed", seed, "--out", tmp_path / name).status == 0
    assert result_of(tmp_path / "a") == result_of(finished())
    assert result_of(tmp_path / "b") != result_of(finished())


@pytest.mark.parametrize("step", [1, 5, STEPS_AN_EPOCH, STEPS_AN_EPOCH + 1, 3 * STEPS_AN_EPOCH - 1])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_bit_for_bit(
    call, finished, book, tiny, tmp_path, interrupt_at, step, number, monkeypatch
):
    whole = finished("--dropout", "0.3")
    out = tmp_path / "in two"
    interrupt_at(step, number)
    result = call("train", book, *tiny, "--dropout", "0.3", "--out", out)
    assert result.status == 128 + number
    assert f"fastrnn train --resume '{out}'" in result.out
    assert RunFolder.open(out, kind=KIND).load("last").step == step
    monkeypatch.undo()
    assert call("train", "--resume", out).status == 0
    assert result_of(out) == result_of(whole)


def test_a_run_goes_on_from_any_folder(call, book, tiny, tmp_path, interrupt_at, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupt_at(3)
    assert call("train", book.name, *tiny, "--out", "out").status == 130
    monkeypatch.undo()
    assert call("train", "--resume", tmp_path / "out").status == 0


def test_a_finished_run_says_so_and_may_be_extended(call, trained, tmp_path, book, tiny):
    before = result_of(trained)
    result = call("train", "--resume", trained)
    assert result.status == 0
    assert "finished" in result.out
    assert result_of(trained) == before

    assert call("train", "--resume", trained, "--epochs", "5").status == 0
    assert result_of(trained)[0]["epoch"] == 5
    assert "finished" in call("train", "--resume", trained).out


def test_a_time_budget_ends_the_run(call, book, tiny, tmp_path):
    out = tmp_path / "out"
    options = [word for word in tiny if word not in ("--epochs", "3")]
    result = call("train", book, *options, "--minutes", "0.01", "--out", out)
    assert result.status == 0
    content = RunFolder.open(out, kind=KIND).load("last").progress
    assert content["seconds"] >= 0.6
    assert content["history"][-1]["step"] == content["step"]
    assert "finished" in call("train", "--resume", out).out
    assert call("train", "--resume", out, "--minutes", "0.02").status == 0


def test_a_loss_that_is_not_finite_stops_the_run(call, book, tiny, tmp_path, monkeypatch):
    from fastrnn.models.language import LanguageModel

    real = LanguageModel.train_step

    def train_step(self, tokens, targets, state, optimizer, step):
        loss, norm, state = real(self, tokens, targets, state, optimizer, step)
        return (float("nan") if step == 20 else loss), norm, state

    monkeypatch.setattr(LanguageModel, "train_step", train_step)
    out = tmp_path / "out"
    result = call("train", book, *tiny, "--out", out)
    assert result.status == 1
    assert result.err.count("\n") == 1
    assert "step 21" in result.err
    assert RunFolder.open(out, kind=KIND).load("last").step == STEPS_AN_EPOCH
    monkeypatch.undo()
    assert call("train", "--resume", out).status == 0


def test_short_texts_shrink_the_batch_and_say_so(call, tmp_path, tiny):
    path = tmp_path / "short.txt"
    path.write_text("abcdefghi\n" * 20)
    result = call("train", path, *tiny, "--batch", "64", "--out", tmp_path / "out")
    assert result.status == 0
    assert "too little text for 64" in result.out


def test_letters_only_in_the_held_out_part_are_counted(call, tmp_path, tiny):
    path = tmp_path / "odd.txt"
    path.write_text("abcdefghi\n" * 100 + "ÄÖÜ", "utf-8")
    result = call("train", path, *tiny, "--out", tmp_path / "out")
    assert result.status == 0
    assert "3 of them unknown" in result.out


def test_a_process_that_is_killed_goes_on_bit_for_bit(call, finished, spawn, book, tiny, tmp_path):
    out = tmp_path / "out"
    words = ["train", book, *tiny, "--out", out]
    # Slow enough to be hit, and saving all the time.
    before = (
        SAVE_AT_EVERY_STEP
        + """
import time
step = training.Trainer._step
training.Trainer._step = lambda self: (step(self), time.sleep(0.02))
"""
    )
    for _ in range(4):
        with spawn(*words, before=before, stderr=subprocess.DEVNULL) as process:
            for line in process.stdout:
                if line.startswith("Ready"):
                    break
            try:
                process.wait(random.uniform(0.0, 0.4))
            except subprocess.TimeoutExpired:
                process.kill()
        RunFolder.open(out, kind=KIND).load("last")
        words = ["train", "--resume", out]
    assert call("train", "--resume", out).status == 0
    assert result_of(out) == result_of(finished())


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_control_c_in_another_process(spawn, book, tiny, tmp_path):
    out = tmp_path / "out"
    with spawn("train", book, *tiny, "--epochs", "100000", "--out", out) as process:
        for line in process.stdout:
            if line.startswith("Ready"):
                break
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopping" in err
    assert "Traceback" not in err
    assert f"fastrnn train --resume {out}" in rest


def test_only_one_process_trains_a_run(call, book, tiny, tmp_path, trained):
    pytest.importorskip("fcntl")
    with RunFolder.open(trained, kind=KIND).lock():
        result = call("train", "--resume", trained)
    assert result.status == 2
    assert "another process" in result.err


def test_curve_and_learning_rate_do_not_depend_on_interruptions(call, trained):
    content, _ = result_of(trained)
    curve = content["curve"]
    assert len(curve["points"]) == 3 * STEPS_AN_EPOCH
    assert curve["stride"] == 1
    assert training.SAVE_SECONDS > 0
