"""The position of a run, and the learning rate that follows from it."""

import json

import pytest

from fastrnn.cli.options import Options
from fastrnn.cli.position import CURVE_POINTS, Curve, Epoch, Position
from fastrnn.cli.schedule import FINAL, factor

EPOCH = Epoch(step=3, epochs=0.5, training=0.1, validation=0.2, learning_rate=0.3, seconds=0.4)


def test_a_position_survives_json_exactly():
    position = Position(
        step=3, epoch=1, window=2, seconds=0.1 + 0.2, loss_sum=1 / 3, loss_count=9,
        history=[EPOCH], best=EPOCH,
    )  # fmt: skip
    for step in range(CURVE_POINTS + 1):
        position.curve.append(1.0 / (step + 3))
    again = Position.from_dict(json.loads(json.dumps(position.to_dict())))
    assert again == position
    assert Position.from_dict(Position().to_dict()) == Position()


@pytest.mark.parametrize(
    "changes",
    [
        {"step": -1},
        {"step": "3"},
        {"step": True},
        {"window": 1.5},
        {"seconds": None},
        {"history": [{}]},
        {"history": 3},
        {"best": []},
        {"best": 4},
        {"curve": {"points": 3}},
        {"curve": None},
        {"more": 1},
    ],
)
def test_damaged_positions_are_refused(changes):
    with pytest.raises(ValueError, match="expected"):
        Position.from_dict(Position().to_dict() | changes)


def test_a_curve_keeps_its_mean_and_its_size():
    curve = Curve()
    losses = [float(step % 17) for step in range(8 * CURVE_POINTS)]
    for loss in losses:
        curve.append(loss)
    assert CURVE_POINTS / 2 <= len(curve.points) <= CURVE_POINTS
    assert sum(curve.points) / len(curve.points) == pytest.approx(sum(losses) / len(losses))
    assert len(curve.points) * curve.stride == len(losses)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_schedules_rise_and_fall(schedule):
    steps = 5000
    rates = [
        factor(schedule, step=step, fraction=step / steps, steps=steps) for step in range(steps)
    ]
    top = rates.index(max(rates))
    assert 0 < rates[0] < 0.02
    assert 50 <= top <= 150
    assert max(rates) > 0.95
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(FINAL, abs=0.01)
    assert factor(schedule, step=9999, fraction=1.0, steps=None) == pytest.approx(FINAL)


def test_a_constant_schedule_and_very_short_runs():
    assert factor("constant", step=3000, fraction=0.9, steps=4000) == 1.0
    assert factor("cosine", step=0, fraction=0.0, steps=1) > 0.5
    with pytest.raises(ValueError, match="schedule"):
        factor("step", step=0, fraction=0.0, steps=1)


def test_options_survive_json_and_refuse_strangers():
    options = Options(units=5, minutes=0.5)
    assert Options.from_dict(json.loads(json.dumps(options.to_dict()))) == options
    for values in (None, [], {}, options.to_dict() | {"pickle": 1}):
        with pytest.raises(ValueError, match="expected"):
            Options.from_dict(values)
    with pytest.raises(ValueError, match="units"):
        Options(units=0)
    with pytest.raises(ValueError, match="schedule"):
        Options(schedule="step")
