"""Run folders: at any instant the pointers name whole checkpoints."""

import errno
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from fastrnn.models.checkpoint import Checkpoint, CheckpointError
from fastrnn.models.run_folder import RunFolder

KIND = "test"
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

SAVE = """
import sys
import numpy as np
from fastrnn.models.checkpoint import Checkpoint
from fastrnn.models.run_folder import RunFolder

def checkpoint(step):
    weights = {"w": np.full((64, 64), step, np.float32)}
    return Checkpoint(step=step, weights=weights, training=weights, progress={"step": step})

def opened():
    run = RunFolder.open(sys.argv[1], kind="test")
    run.sweep()
    return run
"""

# A child for each number that is read, which dies at so many a file operation.
DIE_AT_EVENT = """
import os
def hook(event, arguments):
    global left
    if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir"):
        left -= 1
        if left < 0:
            os._exit(9)
for line in sys.stdin:
    child = os.fork()
    if not child:
        run, left = opened(), int(line)
        sys.addaudithook(hook)
        run.save(checkpoint(2), pointers=("best", "last"))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

SAVE_FOR_EVER = """
run = opened()
print("ready", flush=True)
step = run.load("last").step if run.has("last") else 0
while True:
    step += 1
    run.save(checkpoint(step), pointers=("best", "last") if step % 3 == 0 else ("last",))
"""


def make_checkpoint(step):
    weights = {"w": np.full((4, 4), step, np.float32)}
    return Checkpoint(step=step, weights=weights, training={}, progress={"step": step})


def assert_whole(checkpoint):
    assert checkpoint.progress == {"step": checkpoint.step}
    assert (checkpoint.weights["w"] == checkpoint.step).all()


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", kind=KIND, settings={"a": [1]})


def steps(run):
    return sorted(path.name for path in (run.path / "checkpoints").iterdir())


def test_settings_come_back_and_can_change(run):
    assert RunFolder.open(run.path, kind=KIND).settings == {"a": [1]}
    run.update({"b": 2})
    assert RunFolder.open(str(run.path), kind=KIND).settings == {"b": 2}


def test_only_checkpoints_with_a_pointer_are_kept(run):
    for step in range(1, 6):
        run.save(make_checkpoint(step), pointers=("best", "last") if step == 3 else ("last",))
    assert steps(run) == ["step-00000003", "step-00000005"]
    assert run.load("best").step == 3
    assert run.load("last").step == 5


def test_a_step_may_be_saved_twice(run):
    for _ in range(3):
        run.save(make_checkpoint(7))
    assert len(steps(run)) == 1
    assert_whole(run.load("last"))


def test_folders_in_use_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="got a file"):
        RunFolder.create(tmp_path / "file", kind=KIND, settings={})
    with pytest.raises(CheckpointError, match="not empty"):
        RunFolder.create(tmp_path, kind=KIND, settings={})
    (tmp_path / "empty").mkdir()
    RunFolder.create(tmp_path / "empty", kind=KIND, settings={})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format": 1, "kind": "other", "settings": {}}, "kind"),
        ({"format": 2, "kind": KIND, "settings": {}}, "format"),
        ({"format": 1, "kind": KIND, "settings": []}, "settings"),
        ([], "JSON object"),
    ],
)
def test_other_runs_are_refused(run, content, message):
    (run.path / "run.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        RunFolder.open(run.path, kind=KIND)


def test_what_is_no_run_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for path, message in (("absent", "no such"), ("file", "got a file"), (".", "no run.json")):
        with pytest.raises(CheckpointError, match=message):
            RunFolder.open(tmp_path / path, kind=KIND)


@pytest.mark.parametrize(
    "pointer",
    [
        "",
        "[]",
        "{}",
        '{"checkpoint": "../../etc", "sha256": "0"}',
        '{"checkpoint": "step-00000001", "sha256": 1}',
        '{"checkpoint": 5}',
        "\udcff",
    ],
)
def test_damaged_pointers_are_refused_and_nothing_is_swept(run, pointer):
    run.save(make_checkpoint(1))
    (run.path / "last.json").write_bytes(pointer.encode(errors="surrogateescape"))
    with pytest.raises(CheckpointError, match="damaged"):
        run.load("last")
    run.sweep()
    assert steps(run) == ["step-00000001"]


def test_a_missing_checkpoint_is_named(run):
    with pytest.raises(CheckpointError, match="no last checkpoint"):
        run.load("last")


@pytest.mark.parametrize("call", range(7))
def test_a_full_disk_leaves_the_last_checkpoint(run, monkeypatch, call):
    run.save(make_checkpoint(1))
    real, calls = os.fsync, iter(range(100))

    def fsync(file):
        if next(calls) == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left") as caught:
        run.save(make_checkpoint(2))
    assert str(run.path) in str(caught.value.filename)
    monkeypatch.undo()
    assert_whole(run.load("last"))
    assert len(steps(run)) == 1
    assert not list(run.path.glob(".*"))
    run.save(make_checkpoint(3))
    assert run.load("last").step == 3


def test_a_failing_create_leaves_nothing(tmp_path, monkeypatch):
    def fail(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        RunFolder.create(tmp_path / "run", kind=KIND, settings={})


def test_only_one_process_holds_the_lock(run):
    pytest.importorskip("fcntl")
    with run.lock():
        other = RunFolder.open(run.path, kind=KIND)
        with pytest.raises(CheckpointError, match="another process"), other.lock():
            pass
    with run.lock():
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_death_at_any_file_operation_leaves_whole_checkpoints(run):
    run.save(make_checkpoint(1), pointers=("best", "last"))
    seen = set()
    with subprocess.Popen(
        [sys.executable, "-c", SAVE + DIE_AT_EVENT, str(run.path)],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for event in range(200):
            process.stdin.write(f"{event}\n")
            process.stdin.flush()
            status = process.stdout.readline()
            assert status in ("0\n", "9\n")
            last, best = run.load("last"), run.load("best")
            assert_whole(last)
            assert_whole(best)
            # The better weights may come without the position, never the other way round.
            assert best.step >= last.step
            seen.add((last.step, best.step))
            if status == "0\n":
                break
            run.save(make_checkpoint(1), pointers=("best", "last"))
            assert len(steps(run)) == 1
    assert status == "0\n"
    assert seen == {(1, 1), (1, 2), (2, 2)}
    assert not list(run.path.glob(".*"))


def test_kill_at_random_moments_leaves_whole_checkpoints(run):
    rng = np.random.default_rng()
    before = 0
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", SAVE + SAVE_FOR_EVER, str(run.path)],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.02, 0.3))
            process.kill()
        if run.has("last"):
            last = run.load("last")
            assert_whole(last)
            assert last.step >= before
            before = last.step
        if run.has("best"):
            assert_whole(run.load("best"))
    assert before > 0


def test_reading_while_another_process_saves(run):
    with subprocess.Popen(
        [sys.executable, "-c", SAVE + SAVE_FOR_EVER, str(run.path)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            if run.has("last"):
                assert_whole(run.load("last"))
        process.kill()
