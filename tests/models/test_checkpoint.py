"""Checkpoints: whole or refused."""

import hashlib
import json

import numpy as np
import pytest

from fastrnn.models.checkpoint import Checkpoint, CheckpointError, check_arrays, read, write

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array(5, dtype=np.int64),
    "c": np.zeros((0, 4), np.float32),
    "d": np.arange(12.0).reshape(3, 4).T,
}


@pytest.fixture
def checkpoint():
    return Checkpoint(
        step=12, weights=ARRAYS, training={"slot": ARRAYS["a"]}, progress={"sum": 0.1 + 0.2}
    )


def test_everything_comes_back(tmp_path, checkpoint):
    found = read(tmp_path / "c", write(tmp_path / "c", checkpoint))
    assert (found.step, found.progress) == (12, {"sum": 0.1 + 0.2})
    check_arrays(found.weights, checkpoint.weights, where="")
    for name, array in found.weights.items():
        np.testing.assert_array_equal(array, ARRAYS[name])
        assert array.flags.writeable
    assert found.training.keys() == {"slot"}


@pytest.mark.parametrize("name", ["weights.safetensors", "training.safetensors", "checkpoint.json"])
def test_any_damage_is_found(tmp_path, checkpoint, name):
    digest = write(tmp_path / "c", checkpoint)
    path = tmp_path / "c" / name
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damages = [b"", whole[:-1], whole + b"\0", b"{" + whole[1:] + b" "]
    for place in rng.integers(len(whole), size=20):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        damages.append(bytes(flipped))
    for damaged in damages:
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="damaged") as caught:
            read(tmp_path / "c", digest)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(CheckpointError, match="No such file"):
        read(tmp_path / "c", digest)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "null",
        "{}",
        "nonsense",
        "[" * 100_000,
        '{"step": "1", "progress": {}, "files": {}}',
        '{"step": 1, "progress": [], "files": {"weights.safetensors": ""}}',
        '{"step": 1, "progress": {}, "files": {"weights.safetensors": 3}}',
    ],
)
def test_json_of_another_type_is_refused(tmp_path, checkpoint, content):
    write(tmp_path / "c", checkpoint)
    (tmp_path / "c" / "checkpoint.json").write_text(content)
    with pytest.raises(CheckpointError, match="damaged"):
        read(tmp_path / "c", hashlib.sha256(content.encode()).hexdigest())


def test_a_file_that_is_not_safetensors_is_refused_even_with_the_right_sum(tmp_path, checkpoint):
    write(tmp_path / "c", checkpoint)
    path = tmp_path / "c" / "checkpoint.json"
    content = json.loads(path.read_text())
    for nonsense in (b"", b"\x80\x04.", b"\xff" * 100):
        (tmp_path / "c" / "weights.safetensors").write_bytes(nonsense)
        content["files"]["weights.safetensors"] = hashlib.sha256(nonsense).hexdigest()
        index = json.dumps(content).encode()
        path.write_bytes(index)
        with pytest.raises(CheckpointError, match="not a safetensors file"):
            read(tmp_path / "c", hashlib.sha256(index).hexdigest())


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, "'a' is missing"),
        ({"a": ARRAYS["a"], "x": ARRAYS["a"]}, "unexpected array 'x'"),
        ({"a": ARRAYS["a"].T}, r"\(3, 2\)"),
        ({"a": ARRAYS["a"].astype(np.float64)}, "float64"),
    ],
)
def test_differences_are_named(found, message):
    with pytest.raises(CheckpointError, match=message):
        check_arrays(found, {"a": ARRAYS["a"]}, where="here")
