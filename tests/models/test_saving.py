"""Files of models: they go on bit for bit, are whole, and are not trusted."""

import json
import pickle
import zipfile

import numpy as np
import pytest

from fastrnn import layers, losses, optimizers, random, saving
from fastrnn.layers import serialization
from fastrnn.models import Model, Sequential, load_model, model_from_json


def task(rng):
    return rng.integers(0, 20, (22, 6)), rng.integers(0, 2, 22)


def classifier(**options):
    random.set_seed(11)
    model = Sequential(
        [
            layers.Embedding(20, 4, mask_zero=True),
            layers.LSTM(5, dropout=0.3, recurrent_dropout=0.2),
            layers.Dropout(0.4),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.build((None, 6))
    options = {"optimizer": "adam", "loss": "binary_crossentropy", **options}
    model.compile(metrics=["accuracy"], **options)
    return model


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: optimizers.Adam(0.01),
        lambda: optimizers.SGD(0.1, momentum=0.9),
        lambda: optimizers.RMSprop(optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)),
    ],
    ids=["adam", "momentum", "schedule"],
)
def test_a_loaded_model_learns_on_bit_for_bit(rng, tmp_path, optimizer):
    x, y = task(rng)
    whole, part = classifier(optimizer=optimizer()), classifier(optimizer=optimizer())
    history = whole.fit(x, y, batch_size=5, epochs=4, verbose=0).history
    found = part.fit(x, y, batch_size=5, epochs=2, verbose=0).history
    part.save(tmp_path / "model.fastrnn")
    loaded = load_model(tmp_path / "model.fastrnn")
    rest = loaded.fit(x, y, batch_size=5, epochs=4, initial_epoch=2, verbose=0).history
    assert {name: found[name] + rest[name] for name in rest} == history
    for one, other in zip(loaded.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert loaded.evaluate(x, y, verbose=0) == whole.evaluate(x, y, verbose=0)


def test_classes_registered_as_in_keras_come_back(tmp_path):
    @saving.register_keras_serializable(package="Tests")
    class Doubled(layers.Dense):
        def call(self, inputs):
            return 2 * super().call(inputs)

    try:
        model = Sequential([layers.Input((3,)), Doubled(2)])
        saving.save_model(model, tmp_path / "model.fastrnn")
        assert type(saving.load_model(tmp_path / "model.fastrnn").layers[0]) is Doubled
        with pytest.raises(FileExistsError):
            saving.save_model(model, tmp_path / "model.fastrnn", overwrite=False)
    finally:
        del serialization.CLASSES["Tests>Doubled"]


def test_models_between_symbols_and_several_losses_come_back(rng, tmp_path):
    p, q = layers.Input((None, 3)), layers.Input((2,))
    h = layers.Bidirectional(layers.GRU(3))(p)
    model = Model([p, q], [layers.Dense(1, name="a")(h), layers.Dense(2, name="b")(q)])
    model.compile(
        "sgd", {"a": losses.Huber(delta=2.0), "b": "mse"}, loss_weights={"a": 0.5},
        metrics={"a": ["mae"], "b": losses.mean_absolute_error},
    )  # fmt: skip
    x = [rng.normal(size=(6, 4, 3)), rng.normal(size=(6, 2))]
    y = [rng.normal(size=(6, 1)), rng.normal(size=(6, 2))]
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.fastrnn")
    loaded = load_model(tmp_path / "m.fastrnn")
    assert loaded.evaluate(x, y, verbose=0, return_dict=True) == model.evaluate(
        x, y, verbose=0, return_dict=True
    )


@layers.register
class Regressor(Model):
    """A model of one's own, with layers in a list and an argument."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units
        self.stack = [layers.Dense(units), layers.Dense(1)]

    def call(self, inputs, training=None):
        for layer in self.stack:
            inputs = layer(inputs)
        return inputs


def shifted(y_true, y_pred):
    return (y_pred - y_true - 1) ** 2


def test_classes_and_functions_of_ones_own_come_back_by_name(rng, tmp_path):
    model = Regressor(3)
    model.compile("sgd", shifted)
    x, y = rng.normal(size=(8, 2)), rng.normal(size=(8, 1))
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.fastrnn")
    with pytest.raises(ValueError, match="'shifted' is not known"):
        load_model(tmp_path / "m.fastrnn")
    loaded = load_model(tmp_path / "m.fastrnn", custom_objects={"shifted": shifted})
    assert type(loaded) is Regressor
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    plain = load_model(tmp_path / "m.fastrnn", compile=False)
    assert not plain.compiled
    np.testing.assert_array_equal(plain.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_loss_without_a_name_is_left_out_with_a_warning(rng, tmp_path):
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", lambda y, p: (p - y) ** 2)
    with pytest.warns(UserWarning, match="saved without compile"):
        model.save(tmp_path / "m.fastrnn")
    assert not load_model(tmp_path / "m.fastrnn").compiled


def test_weights_alone_go_to_another_model(rng, tmp_path):
    x, _ = task(rng)
    one, other = classifier(), classifier()
    expected = one.predict(x, verbose=0)
    one.save_weights(tmp_path / "w.safetensors")
    one.save(tmp_path / "m.fastrnn")
    for name in ("w.safetensors", "m.fastrnn"):
        other.set_weights([w + 1 for w in other.get_weights()])
        other.load_weights(tmp_path / name)
        np.testing.assert_array_equal(other.predict(x, verbose=0), expected)
    wrong = Sequential([layers.Input((6,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="expected 2 weights as the model has, got 6"):
        wrong.load_weights(tmp_path / "w.safetensors")
    odd = Sequential([layers.Embedding(20, 3), layers.LSTM(5), layers.Dense(1)])
    odd.build((None, 6))
    with pytest.raises(ValueError, match=r"expected .*embeddings of float32 \(20, 3\), got"):
        odd.load_weights(tmp_path / "w.safetensors")


def test_the_same_model_makes_the_same_file_and_json_makes_its_like(rng, tmp_path):
    model = classifier()
    model.predict(task(rng)[0], verbose=0)
    for name in ("a", "b"):
        model.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    twin = model_from_json(model.to_json())
    assert [w.shape for w in twin.get_weights()] == [w.shape for w in model.get_weights()]


def test_files_are_replaced_only_if_that_is_allowed(rng, tmp_path):
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    path = tmp_path / "m.fastrnn"
    path.write_text("old")
    for save in (model.save, model.save_weights):
        with pytest.raises(FileExistsError, match="it exists"):
            save(path, overwrite=False)
    assert path.read_text() == "old"
    model.save(path)
    assert list(tmp_path.iterdir()) == [path]  # no temporary file is left
    with pytest.raises(IsADirectoryError):
        model.save(tmp_path)
    with pytest.raises(ValueError, match="build it or call it first"):
        Sequential([layers.Dense(1)]).save(path)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.hdf5", "model.H5"])
def test_a_name_of_a_file_of_keras_is_told(rng, name, tmp_path):
    model = classifier()
    x = rng.integers(0, 20, (3, 5))
    for save, load in ((model.save, load_model), (model.save_weights, None)):
        with pytest.warns(UserWarning, match=f"{name}: a file of fastrnn .* fastrnn.keras.save"):
            save(tmp_path / name)
        if load is not None:
            np.testing.assert_array_equal(load(tmp_path / name)(x), model(x))


def test_a_file_of_keras_is_named(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(ValueError, match=r"fastrnn\.keras\.load\(path\) reads files of Keras"):
        load_model(path)


@pytest.fixture
def saved(tmp_path):
    """Contents of the file of a model, and where to put others."""
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    path = tmp_path / "m.fastrnn"
    model.save(path)
    return path, path.read_bytes()


def test_truncated_and_damaged_files_are_refused(saved):
    path, content = saved
    for end in range(0, len(content), 97):
        path.write_bytes(content[:end])
        with pytest.raises(ValueError, match="m.fastrnn"):
            load_model(path)
    for place in range(0, len(content), 61):
        damaged = bytearray(content)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        try:
            model = load_model(path)
        except ValueError as error:
            assert "m.fastrnn" in str(error) or "config" in str(error)
        else:  # a byte of the archive's directory that says nothing
            path.write_bytes(content)
            for a, b in zip(model.get_weights(), load_model(path).get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
    path.unlink()
    with pytest.raises(ValueError, match="No such file"):
        load_model(path)


def rewritten(saved, change, compression=zipfile.ZIP_STORED):
    """Write the file with other contents, its sums right."""
    path, _ = saved
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    description = json.loads(entries["model.json"])
    change(description, entries)
    entries.setdefault("model.json", b"")
    if entries["model.json"]:
        entries["model.json"] = json.dumps(description).encode()
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, e: d.update(format=9), "expected format 1, got 9"),
        (lambda d, e: d.update(model={"class_name": "os.system", "config": {}}), "is not known"),
        (lambda d, e: d.update(model=3), "expected a dict"),
        (lambda d, e: d.pop("random"), "damaged, KeyError"),
        (lambda d, e: d.update(compiled=[]), "damaged"),
        (lambda d, e: d["compiled"].update(optimizer={"class_name": "Variable", "config": {}}),
         "'Variable' is not known"),
        (lambda d, e: d["compiled"].update(loss={"__object__": "function", "name": "eval"}),
         "'eval' is not known"),
        (lambda d, e: e.update({"weights.safetensors": pickle.dumps([1])}), "damaged"),
        (lambda d, e: e.pop("weights.safetensors"), "has no weights.safetensors"),
        (lambda d, e: e.update({"optimizer.safetensors": e["weights.safetensors"]}), "state"),
    ],
)  # fmt: skip
def test_contents_that_lie_are_refused(saved, change, message):
    with pytest.raises(ValueError, match=message):
        load_model(rewritten(saved, change))


def test_compressed_archives_are_refused(saved):
    path = rewritten(saved, lambda d, e: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="it is compressed"):
        load_model(path)
