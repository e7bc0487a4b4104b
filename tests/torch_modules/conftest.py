"""Fixtures of all tests of `fastrnn.torch`."""

import importlib.util

import pytest

if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import torch

    from fastrnn.torch import fallback, recurrence


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """What a test computes in."""
    return getattr(torch, request.param)


@pytest.fixture(autouse=True)
def seed():
    """The same random numbers for every test."""
    torch.manual_seed(20240229)


@pytest.fixture
def runs(monkeypatch):
    """The directions that the kernels have run so far; they take single steps, too."""
    calls = []

    def counted(kind, *args, **kwargs):
        calls.extend([kind] * kind.directions)
        return run(kind, *args, **kwargs)

    run = recurrence.run
    monkeypatch.setattr(recurrence, "run", counted)
    monkeypatch.setattr(fallback, "pays_off", lambda *_: True)
    return calls
