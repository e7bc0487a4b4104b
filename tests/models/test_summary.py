"""The table of a model's layers."""

import pytest

from fastrnn import layers
from fastrnn.models import Model, Sequential


def text_of(model, **options):
    lines = []
    model.summary(print_fn=lines.append, **options)
    (text,) = lines
    return text


def cells(text, name):
    """Cells of the row of a layer."""
    row = next(line for line in text.splitlines() if f"│ {name}" in line)
    return [cell.strip() for cell in row.strip("│").split("│")]


def test_layers_shapes_and_counts_are_listed():
    model = Sequential([layers.Input((7,)), layers.Embedding(1000, 16), layers.LSTM(8)], name="m")
    model.layers[0].trainable = False
    text = text_of(model, line_length=80)
    assert text.startswith('Model: "m"')
    assert cells(text, model.layers[0].name)[1:] == ["(None, 7, 16)", "16,000"]
    assert cells(text, model.layers[1].name)[1:] == ["(None, 8)", "800"]
    assert "Total params: 16,800 (65.62 KB)" in text
    assert "Trainable params: 800 (3.12 KB)" in text
    assert "Non-trainable params: 16,000 (62.50 KB)" in text
    assert max(map(len, text.splitlines())) == 80
    assert cells(text_of(model, show_trainable=True), model.layers[0].name)[-1] == "N"


def test_layers_that_are_not_built_say_so():
    text = text_of(Sequential([layers.Dense(2, name="d")]))
    assert cells(text, "d")[1:] == ["?", "0 (unbuilt)"]


def test_connections_are_listed_where_there_are_branches():
    x = layers.Input((4,), name="x")
    inner = Sequential([layers.Dense(4, name="deep")], name="inner")
    model = Model(x, layers.Add(name="sum")([x, inner(x)]))
    text = text_of(model, line_length=100)
    assert cells(text, "sum")[-1] == "x[0][0], inner[0][0]"
    assert cells(text, "x")[-1] == "-"
    assert "deep" not in text
    assert "deep" in text_of(model, expand_nested=True, line_length=100)
    assert "inner" not in text_of(model, layer_range=("sum", "sum")).replace("inner[", "")
    with pytest.raises(ValueError, match="layer_range: expected two of"):
        text_of(model, layer_range=("sum", "nothing"))


def test_summary_is_printed(capsys):
    Sequential([layers.Dense(2)]).summary()
    assert "Total params: 0" in capsys.readouterr().out
