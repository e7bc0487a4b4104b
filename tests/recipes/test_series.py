"""Series: the table, windows that see no future, and whether the model learns."""

import numpy as np
import pytest

from fastrnn import random
from fastrnn.recipes import RecipeError, Series, series


def write(path, columns, names=None, delimiter=","):
    rows = [delimiter.join(map(str, row)) for row in zip(*columns, strict=True)]
    head = [delimiter.join(names)] if names else []
    path.write_text("\n".join([*head, *rows]) + "\n")
    return path


def test_tables(tmp_path):
    path = tmp_path / "table.csv"
    days, numbers = ["mon", "tue", "wed"], [1.5, -2, 3e2]
    for delimiter in ",;\t":
        write(path, [days, numbers, [4, 5, 6]], ["day", "load", "rain"], delimiter)
        names, found, left_out = series.read(path, None)
        assert (names, left_out) == (["load", "rain"], ["day"])
        assert found.tolist() == [[1.5, 4], [-2, 5], [300, 6]]
    names, found, left_out = series.read(path, "3, load")
    assert (names, left_out) == (["rain", "load"], [])
    assert found.tolist() == [[4, 1.5], [5, -2], [6, 300]]
    path.write_text("1\n2\n3\n")
    names, found, _ = series.read(path, None)
    assert names == ["column 1"]
    assert found.tolist() == [[1], [2], [3]]


def test_columns_that_are_left_out_are_named(tmp_path, rng):
    columns = [range(90), [f"{n},5" for n in range(90)], rng.normal(size=90)]
    path = write(tmp_path / "table.csv", columns, ["hour", "load", "rain"], ";")
    recipe = Series(path, window=4, horizon=1, units=2)
    said = [text for _, text in recipe.facts()]
    assert "table.csv: 90 rows of hour, rain" in said
    assert "load: left out, as not all cells are numbers" in said
    assert "1 row out of 4" in said
    assert not any("left out" in text for _, text in Series(path, columns="rain").facts())


def test_windows_are_followed_by_what_is_forecast(tmp_path, rng):
    data = rng.normal(size=(2, 60)).cumsum(axis=1)
    path = write(tmp_path / "walk.csv", data, ["a", "b"])
    recipe = Series(path, window=5, horizon=3, units=2)
    table = data.T
    mean, scale = table[:42].mean(axis=0), table[:42].std(axis=0)
    expected_first = [5, 42, 48]
    expected_last = [39, 45, 57]
    for part in range(3):
        inputs, change, last = recipe.windows(part)
        starts = np.arange(expected_first[part], expected_last[part] + 1)
        assert len(inputs) == len(starts)
        for n, start in enumerate(starts):
            seen, ahead = table[start - 5 : start], table[start : start + 3]
            np.testing.assert_allclose(last[n, 0], seen[-1])
            np.testing.assert_allclose(inputs[n, :, :2], (seen - seen[-1]) / scale, atol=1e-5)
            np.testing.assert_allclose(inputs[n, :, 2:], (seen - mean) / scale, atol=1e-5)
            np.testing.assert_allclose(change[n], (ahead - seen[-1]) / scale, atol=1e-5)


def test_before_learning_the_forecast_is_the_naive_one(tmp_path, rng):
    data = rng.normal(size=(1, 80)).cumsum(axis=1)
    recipe = Series(write(tmp_path / "walk.csv", data), window=4, horizon=2, units=2)
    scores = {(s.name, s.who): s.value for s in recipe.evaluate().scores}
    naive = "naive: no change"
    y = data[0]
    errors = np.array([[y[t + k] - y[t - 1] for k in range(2)] for t in range(64, 79)])
    assert scores["mean absolute error", naive] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert scores["root mean square error", naive] == pytest.approx(
        (errors**2).mean() ** 0.5, rel=1e-5
    )
    slopes = np.array([[(k + 1) * (y[t - 1] - y[t - 2]) for k in range(2)] for t in range(64, 79)])
    value = scores["mean absolute error", "the last change again"]
    assert value == pytest.approx(np.abs(slopes - errors).mean(), rel=1e-5)
    for name in ("mean absolute error", "root mean square error"):
        assert scores[name, "this model"] == scores[name, naive]


def test_it_learns(tmp_path):
    t = np.arange(300)
    path = write(tmp_path / "wave.csv", [np.sin(t / 4), 5 + np.cos(t / 7)], ["a", "b"])
    random.set_seed(0)
    recipe = Series(path, window=12, horizon=4, units=16, learning_rate=1e-2)
    recipe.fit(epochs=12)
    report = recipe.evaluate()
    scores = {(s.name, s.who, s.what[0]): s.value for s in report.scores}
    for column in "ab":
        model = scores["mean absolute error", "this model", column]
        assert model < 0.3 * scores["mean absolute error", "naive: no change", column]
    x, truth = report.panels[1].lines["truth"]
    np.testing.assert_allclose(truth, np.sin(x / 4), atol=1e-6)


@pytest.mark.parametrize(
    ("content", "options", "fragment"),
    [
        ("1,2\n3\n", {}, "rows of equal length"),
        ("a,b\nx,y\n", {}, "at least one column of numbers"),
        ("a,b\n1,2\n", {"columns": "c"}, "columns: expected some of a, b"),
        ("a,b\n1,x\n", {"columns": "b"}, "b: expected numbers only, got 'x' in row 1"),
        ("a\n1\nnan\n", {"columns": "a"}, "got 'nan' in row 2"),
        ("a\n" + "1\n" * 30, {"window": 24}, "30 rows are too few"),
        ("a\n" + "1\n" * 30, {"cell": "rnn"}, "cell"),
    ],
)
def test_unusable_tables_are_refused(tmp_path, content, options, fragment):
    path = tmp_path / "table.csv"
    path.write_text(content)
    with pytest.raises(RecipeError, match=fragment):
        Series(path, **options)
