"""`fastrnn train TASK`: what a run leaves behind, and what is refused."""

import json

import numpy as np
import pytest

from fastrnn.cli import main
from fastrnn.cli import recipes as cli
from fastrnn.models import load_model
from fastrnn.recipes import digits


def assert_refused(result, *fragments):
    assert (result.status, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert result.err.startswith("fastrnn: error: ")
    for fragment in fragments:
        assert fragment in result.err


@pytest.fixture
def images(monkeypatch, rng):
    labels = np.arange(200) % 10
    images = rng.random((200, 10, 4), np.float32) * 0.3
    images[np.arange(200), labels] += 0.7
    monkeypatch.setitem(digits.SOURCES, "sklearn", lambda: (images, labels))
    return images


def test_a_run(call, images, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    result = call("train", "digits", "--units", 8, "--epochs", 3, "--out", out)
    assert (result.status, result.err) == (0, "")
    assert "epoch 3 " in result.out
    assert "nearest mean image" in result.out
    report = json.loads((out / "report.json").read_text())
    assert report["options"] == {"units": 8}
    assert len(report["history"]["loss"]) == 3
    score = next(s for s in report["scores"] if s["who"] == "this model")
    assert f"{score['value']:.4f}" in result.out
    model = load_model(out / "model.fastrnn")
    _, _, (test, labels) = digits.split(images, np.arange(200) % 10)
    predicted = model.predict(test, verbose=0).argmax(axis=1)
    assert score["value"] == pytest.approx(np.mean(predicted == labels))
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")
    assert not list(out.glob(".tmp*"))


def test_the_same_seed_gives_the_same_figures(call, images, tmp_path):
    words = ["train", "digits", "--units", 4, "--epochs", 1, "--seed", 5]
    histories = []
    for name in ("one", "other"):
        assert call(*words, "--out", tmp_path / name).status == 0
        histories.append(json.loads((tmp_path / name / "report.json").read_text())["history"])
    assert histories[0] == histories[1]


def test_interrupted_it_keeps_the_best_model(call, images, tmp_path, monkeypatch):
    from fastrnn.cli.recipe_progress import RecipeDisplay

    def interrupt(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(RecipeDisplay, "on_epoch_end", interrupt)
    result = call("train", "digits", "--units", 4, "--out", tmp_path / "out")
    assert result.status == 130
    assert "--resume" in result.out
    assert load_model(tmp_path / "out" / "model.fastrnn").predict(images[:2], verbose=0).shape == (
        2,
        10,
    )


def test_without_matplotlib_there_is_no_picture(call, images, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    result = call("train", "digits", "--units", 4, "--epochs", 1, "--out", tmp_path / "out")
    assert result.status == 0
    assert "fastrnn[plot]" in result.out
    assert not (tmp_path / "out" / "report.png").exists()


def test_a_run_that_diverges_fails(call, images, tmp_path):
    images[:] = np.nan
    result = call("train", "digits", "--units", 4, "--out", tmp_path / "out")
    assert result.status == 1
    assert "the loss is nan" in result.err


def test_a_text_of_the_name_of_a_task(call, book, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    book.rename(tmp_path / "digits")
    assert call("train", "./digits", *tiny, "--out", "run").status == 0
    assert (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("task", sorted(cli.TASKS))
def test_every_task_explains_itself(capsys, task):
    with pytest.raises(SystemExit) as caught:
        main(["train", task, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: fastrnn train {task} ")
    for option in cli.TASKS[task].options:
        assert f"--{option.replace('_', '-')} " in out


def test_the_tasks_are_named_where_one_looks(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    out = "".join(capsys.readouterr().out.split())
    assert f"fastrnntrain{{{','.join(cli.TASKS)}}}--help" in out


def test_a_terminal_sees_a_bar_and_the_lines_of_epochs():
    from io import StringIO

    from rich.console import Console

    from fastrnn.cli.recipe_progress import RecipeDisplay

    class Terminal(StringIO):
        def isatty(self):
            return True

    file = Terminal()
    console = Console(file=file, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    with RecipeDisplay(console, epochs=2, minutes=None) as display:
        display.set_params({"steps": 4})
        display.on_epoch_begin(1)
        display.on_train_batch_end(1, {"loss": 0.5})
        display._live.refresh()
        display.on_epoch_end(1, {"loss": 0.25, "val_loss": 0.75})
    shown = file.getvalue()
    assert "epoch 2/2  step 2/4  train 0.5000" in shown
    assert "epoch 2     train 0.2500  validation 0.7500" in shown
    assert display._fraction == 0.75


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        ("digits --units 0", "--units"),
        ("digits --unit 5", "--unit"),
        ("digits --dropout 1", "--dropout"),
        ("digits --data keras", "--data"),
        ("digits --cell rnn", "--cell"),
        ("digits --epochs 0", "--epochs"),
        ("digits --minutes nan", "--minutes"),
        ("digits --seed -1", "--seed"),
        ("digits --threads 0", "--threads"),
        ("digits file", "file"),
        ("music", "FILE"),
        ("music absent", "absent: No such file"),
        ("music . --layers 17", "--layers"),
        ("sentiment .", "folder"),
        ("series absent --horizon 0", "--horizon"),
        ("series absent --window 1", "--window"),
        ("words absent", "three text files"),
        ("words absent --size huge", "--size"),
        ("g2p absent", "absent: No such file"),
        ("g2p --beams 65", "--beams"),
    ],
)
def test_impossible_words(call, words, fragment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(call("train", *words.split()), fragment)
    assert not list(tmp_path.iterdir())


def test_unusable_output_folders(call, images, tmp_path):
    (tmp_path / "file").touch()
    assert_refused(call("train", "digits", "--out", tmp_path), "not empty")
    assert_refused(call("train", "digits", "--out", tmp_path / "file"), "got a file")
    assert_refused(call("train", "digits", "--out", tmp_path / "file" / "x"), str(tmp_path))
