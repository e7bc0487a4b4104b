"""Displays, on a terminal and without one; and what they count."""

import io
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from fastrnn.cli.position import Epoch, Position
from fastrnn.cli.progress import LiveDisplay, PlainDisplay, Speed, clock, open_display
from fastrnn.cli.report import command, compressed_bits, draw_curves, print_sample

EPOCH = Epoch(step=10, epochs=1.0, training=2.5, validation=2.25, learning_rate=0.01, seconds=61.0)


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self):
        return True

    def fileno(self):
        return self.descriptor


@pytest.fixture
def trainer():
    return SimpleNamespace(
        position=Position(step=10, history=[EPOCH]), fraction=0.5, steps=20, training_bits=2.5
    )


def test_the_display_suits_the_file(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(open_display(Console(file=Terminal()), epochs=1), LiveDisplay)
    assert isinstance(open_display(Console(file=io.StringIO()), epochs=1), PlainDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(open_display(Console(file=Terminal()), epochs=1), PlainDisplay)


def test_plain_lines_come_seldom(trainer, monkeypatch):
    file, now = io.StringIO(), [0.0]
    monkeypatch.setattr("fastrnn.cli.progress.time.monotonic", lambda: now[0])
    with PlainDisplay(Console(file=file), epochs=2) as display:
        display.compiling()
        for step in range(1000):
            now[0] += 0.01
            trainer.fraction = step / 2000
            display.stepped(trainer, characters=100)
        display.validated(trainer, EPOCH, best=True)
    lines = file.getvalue().splitlines()
    assert "Loading" in lines[0]
    assert "Ready" in lines[1]
    assert len(lines) == 4
    assert "epoch 1/2" in lines[2]
    assert "step 10/20" in lines[2]
    assert "train 2.500" in lines[2]
    assert "validation 2.250" in lines[2]
    assert "10k chars/s" in lines[2]
    assert "0:15 left" in lines[2]
    assert "1:01" in lines[3]
    assert "best" in lines[3]


def test_the_live_display_shows_the_same_and_gives_the_cursor_back(trainer, tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    with (tmp_path / "terminal").open("wb") as raw:
        file.descriptor = raw.fileno()
        console = Console(file=file, width=100, force_terminal=True)
        with LiveDisplay(console, epochs=2) as display:
            display.compiling()
            display._live.refresh()
            for _ in range(3):
                display.stepped(trainer, characters=100)
            display._live.refresh()
            display.validating()
            display.validated(trainer, EPOCH, best=False)
            display.stopping()
            display._live.refresh()
    shown = file.getvalue()
    for expected in ("Loading", "epoch 1/2", "step 10/20", "validation 2.250", "Stopping"):
        assert expected in shown
    assert b"\x1b[?25h" in (tmp_path / "terminal").read_bytes()
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_stopping_without_a_terminal_goes_to_standard_error(capfd):
    PlainDisplay(Console(file=io.StringIO()), epochs=None).stopping()
    assert "Stopping" in capfd.readouterr().err


def test_speed_says_nothing_before_it_knows():
    speed = Speed()
    assert (speed.rate, speed.left) == ("", "")
    speed.add(characters=5, fraction=0.1)
    assert (speed.rate, speed.left) == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0:00"), (0.2, "0:01"), (59.5, "1:00"), (3601, "1:00:01")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_compressed_sizes_count_bytes_against_characters():
    import bz2

    text = "漢字かな交じり文" * 100
    bits = compressed_bits(text)
    assert bits["bz2"] == 8 * len(bz2.compress(text.encode(), 9)) / len(text)
    assert set(bits) == {"bz2", "xz"}


def test_a_compressor_that_python_lacks_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "lzma", None)
    assert set(compressed_bits("abc")) == {"bz2"}


def test_samples_cannot_steer_the_terminal():
    file = io.StringIO()
    print_sample(Console(file=file), "a\x1b[2Jb\x9bc\td\ne [bold]f[/bold]")
    assert "\x1b" not in file.getvalue()
    assert "\x9b" not in file.getvalue()
    assert "e [bold]f[/bold]" in file.getvalue()


def test_curves_are_drawn_without_a_window_system(tmp_path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.delattr(matplotlib, "pyplot", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # it would look for one
    position = Position(history=[EPOCH])
    for step in range(2000):
        position.curve.append(5.0 - step / 1000)
    draw_curves(tmp_path / "loss.png", position, {"xz": 2.0})
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_commands_can_be_pasted():
    assert command("train", "--resume", "a b") == "fastrnn train --resume 'a b'"
