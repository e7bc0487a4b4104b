"""Files that are damaged or made to do harm: a ValueError, and the model as it was."""

import io
import json
import zipfile

import numpy as np
import pytest

import fastrnn.keras
from fastrnn import layers, models

h5py = pytest.importorskip("h5py")


def small():
    parts = [layers.Input((None, 3)), layers.GRU(2, name="gru"), layers.Dense(1, name="dense")]
    return models.Sequential(parts)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "m.keras"
    fastrnn.keras.save(small(), path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def file_of(folder, entries, compression=zipfile.ZIP_STORED):
    path = folder / "hostile.keras"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def with_config(good, change):
    config = json.loads(good["config.json"])
    replaced = change(config)
    return {**good, "config.json": json.dumps(config if replaced is None else replaced)}


def with_weights(good, change):
    memory = io.BytesIO(good["model.weights.h5"])
    with h5py.File(memory, "r+") as file:
        change(file)
    return {**good, "model.weights.h5": memory.getvalue()}


def refused(path, match):
    with pytest.raises(ValueError, match=match):
        fastrnn.keras.load(path)


def test_the_file_itself_is_good(good, tmp_path):
    assert fastrnn.keras.load(file_of(tmp_path, good)).count_params() == small().count_params()


def test_what_is_no_archive(good, tmp_path):
    refused(tmp_path / "missing.keras", "missing.keras")
    path = tmp_path / "m.keras"
    for content in (b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" + bytes(99)):
        path.write_bytes(content)
        refused(path, "not a .keras file")
    for name in good:
        refused(file_of(tmp_path, {k: v for k, v in good.items() if k != name}), name)


def test_archives_cut_or_changed_at_any_place(good, tmp_path):
    """What still loads has the weights of the file that was not changed, or others of the file."""
    content = file_of(tmp_path, good).read_bytes()
    path = tmp_path / "m.keras"
    for end in range(0, len(content), len(content) // 23):
        path.write_bytes(content[:end])
        refused(path, "m.keras")
    rng = np.random.default_rng(1)
    for place in rng.integers(len(content), size=60):
        changed = bytearray(content)
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            fastrnn.keras.load(path)
        except ValueError as error:
            assert "m.keras" in str(error)


def test_weights_changed_at_any_place(good, tmp_path):
    content = good["model.weights.h5"]
    path, model = tmp_path / "w.weights.h5", small()
    rng = np.random.default_rng(2)
    for round_ in range(150):
        changed = bytearray(content)
        for place in rng.integers(2048 if round_ % 2 else len(content), size=3):
            changed[place] = rng.integers(256)
        path.write_bytes(changed)
        before = model.get_weights()
        try:
            fastrnn.keras.load_weights(model, path)
        except ValueError as error:
            assert "w.weights.h5" in str(error)
            assert all(map(np.array_equal, before, model.get_weights()))


def test_heaps_of_strings_that_never_end(good, tmp_path):
    content = bytearray(good["model.weights.h5"])
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 32] = bytes(16)  # free space of no size, before the first string
    refused(file_of(tmp_path, {**good, "model.weights.h5": bytes(content)}), "heap of strings")


def test_names_that_are_no_text_are_not_read(good, tmp_path):
    content = good["model.weights.h5"]
    text, sequence = b"name\0\0\0\0\x19\x01", b"name\0\0\0\0\x19\x68"
    assert text in content
    changed = {**good, "model.weights.h5": content.replace(text, sequence)}
    loaded = fastrnn.keras.load(file_of(tmp_path, changed))
    assert loaded.count_params() == small().count_params()


def test_bombs(good, tmp_path):
    bomb = {**good, "model.weights.h5": bytes(64 << 20)}
    refused(file_of(tmp_path, bomb, zipfile.ZIP_DEFLATED), "swells")
    bomb = {**good, "config.json": b" " * (65 << 20)}
    refused(file_of(tmp_path, bomb, zipfile.ZIP_DEFLATED), "no model")
    nested = b"[" * 200_000
    refused(file_of(tmp_path, {**good, "config.json": nested}), "not JSON")

    def large(config):
        config["config"]["layers"][1]["config"]["units"] = 10**9

    refused(file_of(tmp_path, with_config(good, large)), "larger than the file")

    def hollow(file):  # a dataset of a terabyte that takes no place
        del file["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", (2, 1 << 37), "f8", chunks=(1, 1 << 20))

    refused(file_of(tmp_path, with_weights(good, hollow)), r"expected .*dense/vars/0")


def test_names_that_leave_the_folder_are_not_followed(good, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = file_of(folder, {**good, "../out.txt": b"out", "/tmp/fastrnn_out": b"out"})
    fastrnn.keras.load(path)
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_code_is_named_and_not_run(good, tmp_path):
    def code(config):
        inner = config["config"]["layers"]
        inner[1]["config"]["activation"] = {
            "module": "builtins", "class_name": "function", "config": "breakpoint",
        }  # fmt: skip
        inner.append({
            "module": "keras.layers", "class_name": "Lambda",
            "config": {"name": "lam", "function": {"class_name": "__lambda__", "config": "4wAAAA"}},
        })  # fmt: skip
        inner.append({"module": "os", "class_name": "system", "config": {"name": "sys"}})
        inner.append({
            "module": "keras.layers", "class_name": "Conv1D", "config": {"name": "conv"},
        })  # fmt: skip
        inner[2]["config"]["lora_rank"] = 4

    path = file_of(tmp_path, with_config(good, code))
    refused(path, r"(?s)gru: activation.*dense: lora_rank=4.*lam.*system.*conv")


LAYERS_DAMAGED = {
    "no model": lambda c: {"class_name": "Dense", "config": {}},
    "a list": lambda c: [],
    "no layers": lambda c: c["config"].pop("layers") and None,
    "layers are a number": lambda c: c["config"].update(layers=3),
    "a layer is null": lambda c: c["config"]["layers"].append(None),
    "units below zero": lambda c: c["config"]["layers"][1]["config"].update(units=-1),
    "units are a string": lambda c: c["config"]["layers"][1]["config"].update(units="many"),
    "float16": lambda c: c["config"]["layers"][1]["config"].update(dtype="mixed_float16"),
    "strings come in": lambda c: c["config"]["layers"][0]["config"].update(dtype="string"),
    "the same name twice": lambda c: c["config"]["layers"][2]["config"].update(name="gru"),
    "an own regularizer": lambda c: c["config"]["layers"][2]["config"].update(
        kernel_regularizer={"class_name": "Mine", "config": {}}
    ),
    "another width": lambda c: c["config"]["layers"][1]["config"].update(units=3),
}


@pytest.mark.parametrize("change", LAYERS_DAMAGED)
def test_descriptions_that_make_no_model(good, change, tmp_path):
    replaced = with_config(good, LAYERS_DAMAGED[change])
    refused(file_of(tmp_path, replaced), "hostile.keras")


def graph(nodes, outputs):
    tensor = {"class_name": "__keras_tensor__"}
    described = [{
        "module": "keras.layers", "class_name": "InputLayer", "name": "x", "inbound_nodes": [],
        "config": {"batch_shape": [None, 2], "dtype": "float32", "name": "x"},
    }]  # fmt: skip
    for name, source in nodes.items():
        history = {"shape": [None, 2], "dtype": "float32", "keras_history": source}
        described.append({
            "module": "keras.layers", "class_name": "Flatten", "config": {"name": name},
            "name": name,
            "inbound_nodes": [{"args": [{**tensor, "config": history}], "kwargs": {}}],
        })  # fmt: skip
    config = {
        "name": "m", "layers": described, "input_layers": [["x", 0, 0]], "output_layers": outputs,
    }  # fmt: skip
    return {"module": "keras", "class_name": "Functional", "config": config}


GRAPHS_DAMAGED = {
    "a circle": graph({"a": ["b", 0, 0], "b": ["a", 0, 0]}, [["a", 0, 0]]),
    "nobody": graph({"a": ["nobody", 0, 0]}, [["a", 0, 0]]),
    "a call that is not made": graph({"a": ["x", 1, 0]}, [["a", 0, 0]]),
    "an output that is not made": graph({"a": ["x", 0, 0]}, [["a", 0, 7]]),
    "no outputs": graph({"a": ["x", 0, 0]}, []),
    "a number for a name": graph({"a": [3, 0, 0]}, [["a", 0, 0]]),
    "a string for a place": graph({"a": ["x", "0", 0]}, [["a", 0, 0]]),
}


@pytest.mark.parametrize("described", GRAPHS_DAMAGED)
def test_graphs_that_make_no_model(good, described, tmp_path):
    entries = with_config(good, lambda config: GRAPHS_DAMAGED[described])
    refused(file_of(tmp_path, entries), "hostile.keras")


def elsewhere(file):
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/x")


def external(file):
    del file["layers/dense/vars/1"]
    file.create_dataset("layers/dense/vars/1", (1,), "f4", external=[("/etc/passwd", 0, 4)])


def virtual(file):
    del file["layers/dense/vars/1"]
    layout = h5py.VirtualLayout((1,), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (1,))
    file.create_virtual_dataset("layers/dense/vars/1", layout)


def a_group(file):
    del file["layers/dense/vars/1"]
    file.create_group("layers/dense/vars/1")


def put(value):
    def change(file):
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = value

    return change


WEIGHTS_DAMAGED = {
    "a link to another file": elsewhere,
    "an external dataset": external,
    "a virtual dataset": virtual,
    "another shape": put(np.zeros(2, np.float32)),
    "strings": put(np.array([b"weight"])),
    "complex numbers": put(np.array([1j])),
    "a group": a_group,
    "one too few": lambda f: f.__delitem__("layers/gru/cell/vars/2"),
    "one too many": lambda f: f.create_dataset("layers/dense_1/vars/0", data=np.zeros(3)),
    "no names, no layers": lambda f: f.__delitem__("layers"),
}  # fmt: skip


@pytest.mark.parametrize("change", WEIGHTS_DAMAGED)
def test_weights_that_do_not_fit(good, change, tmp_path):
    refused(file_of(tmp_path, with_weights(good, WEIGHTS_DAMAGED[change])), "hostile.keras")


def test_files_of_other_versions(good, tmp_path):
    for version in ("2.15.0", None, 3):
        entries = {**good, "metadata.json": json.dumps({"keras_version": version})}
        refused(file_of(tmp_path, entries), "Keras 3")


def test_h5py_is_named_where_it_is_missing(good, tmp_path):
    from processes import run_python

    path = file_of(tmp_path, good)
    output, _ = run_python(
        "import sys; sys.modules['h5py'] = None; import fastrnn.keras\n"
        f"try: fastrnn.keras.load({str(path)!r})\n"
        "except ImportError as error: print(error)"
    )
    assert "fastrnn[keras]" in output
