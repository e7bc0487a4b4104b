"""The bar, in a terminal and in a file."""

import io
import re

import numpy as np

from fastrnn import layers
from fastrnn.callbacks.progress import ProgressBar
from fastrnn.models import Sequential

X, Y = np.ones((6, 2), np.float32), np.ones((6, 1), np.float32)


def model():
    made = Sequential([layers.Dense(1)])
    made.compile("sgd", "mse", metrics=["mae"])
    return made


class Terminal(io.StringIO):
    def isatty(self):
        return True


def screen(text):
    """What stands on the lines of a terminal in the end."""
    plain = re.sub(r"\x1b\[\d+m", "", text)
    lines = []
    for line in plain.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_a_file_gets_one_line_for_each_epoch(capsys):
    model().fit(X, Y, batch_size=2, epochs=2, validation_data=(X, Y))
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[2]] == ["Epoch 1/2", "Epoch 2/2"]
    number = r"\d+\.\d{4}(e-\d\d)?"
    assert re.fullmatch(
        rf"3/3 ━{{20}} \d+s \d+(us|ms|s)/step - loss: {number} - mae: {number}"
        rf" - val_loss: {number} - val_mae: {number}",
        lines[3],
    )
    assert len(lines) == 4


def test_quiet_and_short_forms(capsys):
    trained = model()
    trained.fit(X, Y, verbose=0)
    assert capsys.readouterr().out == ""
    trained.fit(X, Y, verbose=2)
    assert re.search(r"^1/1 - \d+s - \d+\w+/step - loss: ", capsys.readouterr().out, re.MULTILINE)
    trained.evaluate(X, Y, batch_size=3, verbose=2)
    assert re.match(r"2/2 - \d+s - \d+\w+/step - loss: \S+ - mae: ", capsys.readouterr().out)
    trained.predict(X, verbose=1)
    assert re.fullmatch(r"1/1 ━{20} \d+s \d+\w+/step\n", capsys.readouterr().out)


def test_a_terminal_sees_one_line_that_changes(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    bar = ProgressBar(10, stream=stream)
    bar._drawn = -1.0  # long ago
    bar.update(5, {"loss": 0.5, "accuracy": 0.25})
    assert screen(stream.getvalue())[0].startswith(" 5/10 ━━━━━━━━━━━━━━━━━━━━ 0s ")
    bar.update(6, {"loss": 0.4})  # at once: not drawn
    assert "0.4" not in stream.getvalue()
    bar.finish(10, {"loss": 1e-5})
    line, rest = screen(stream.getvalue())
    assert line.startswith("10/10 ━")
    assert line.endswith("- loss: 1.0000e-05")
    assert rest == ""


def test_a_narrow_terminal_is_not_wrapped(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    ProgressBar(10, stream=stream).finish(10, {"a_long_name": 1.0, "another": 2.0})
    assert max(map(len, screen(stream.getvalue()))) < 40


def test_an_unknown_number_of_steps_is_said(monkeypatch):
    stream = Terminal()
    bar = ProgressBar(None, stream=stream)
    bar._drawn = -1.0
    bar.update(7, {})
    assert "7/Unknown" in stream.getvalue()
