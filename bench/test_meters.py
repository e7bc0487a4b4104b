"""What is measured beside time."""

import os

import numpy as np
import pytest

from . import meters, timing


def make_zone(folder, number, name, energy, largest=1000):
    zone = folder / f"intel-rapl:{number}"
    zone.mkdir()
    (zone / "name").write_text(f"{name}\n")
    (zone / "energy_uj").write_text(f"{energy}\n")
    (zone / "max_energy_range_uj").write_text(f"{largest}\n")
    return zone / "energy_uj"


def test_energy_is_that_of_all_packages(tmp_path):
    first = make_zone(tmp_path, "0", "package-0", 100)
    second = make_zone(tmp_path, "1", "package-1", 900)
    make_zone(tmp_path, "0:0", "dram", 5)
    meter = meters.EnergyMeter(tmp_path)
    before = meter.read()
    assert before == [100, 900]
    first.write_text("300")
    second.write_text("50")  # it has begun anew at 1000
    assert meter.joules(before, meter.read()) == pytest.approx((200 + 150) / 1e6)


def test_energy_is_unknown_without_counters(tmp_path):
    meter = meters.EnergyMeter(tmp_path)
    assert meter.joules(meter.read(), meter.read()) is None


def test_peak_of_memory_is_that_of_the_call():
    small = meters.peak_resident_megabytes(lambda: None)
    large = meters.peak_resident_megabytes(lambda: np.ones(1 << 24))
    assert large - small > 100
    if os.access("/proc/self/clear_refs", os.W_OK):
        assert meters.peak_resident_megabytes(lambda: None) < large - 100


def test_processes_are_pinned_for_a_while():
    before = meters.processors()
    with meters.pinned(1) as how:
        if how is None:
            pytest.skip("this system does not pin processes")
        assert meters.processors() == before[:1]
    assert meters.processors() == before


def test_bandwidth_is_measured(monkeypatch):
    monkeypatch.setattr(meters, "_BANDWIDTH_BYTES", 1 << 20)
    assert meters.measure_bandwidth(2, attempts=2) > 0


def test_wrong_numbers_are_no_numbers():
    assert timing.check("y", [1.0, 2.0], [1.0, 2.00001], 1e-5) == pytest.approx(5e-6, rel=1e-3)
    for wrong, message in [
        ([1.0, 2.1], "y: off by 0.1"),
        ([1.0, np.nan], "y: not finite"),
        ([1.0], "y: shape"),
    ]:
        with pytest.raises(timing.WrongAnswerError, match=message):
            timing.check("y", wrong, [1.0, 2.0], 1e-5)


def test_the_fastest_comes_first():
    seconds = {"slow": 3e-1, "fast": 1e-3, "close": 2e-3}
    found = timing.fastest({name: lambda calls, s=s: s for name, s in seconds.items()})
    assert [*found] == ["fast", "close", "slow"]
    assert found == seconds
