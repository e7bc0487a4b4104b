"""All that a model needs to go on learning from the middle of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers import RNN
from fastrnn.layers.structure import leaves, mapped
from fastrnn.metrics import Metric
from fastrnn.metrics.confusion import Counts
from fastrnn.models.saving import random_state, restore_random_state
from fastrnn.tape import Variable, constant

Array = NDArray[Any]
Arrays = Mapping[str, Array]


def weights_of(model: Any) -> dict[str, Array]:
    """Return all weights by their numbers: names may be others in another process."""
    return {f"{i:05d}": variable.value for i, variable in enumerate(model.variables)}


def arrays_of(model: Any) -> dict[str, Array]:
    """Return what changes beside the weights: of optimizer, stateful layers and metrics."""
    found = {f"optimizer/{name}": array for name, array in model.optimizer.state.items()}
    for i, layer in enumerate(_stateful(model)):
        if not layer.starts_anew:
            found |= {f"state/{i}/{j}": s.value for j, s in enumerate(leaves(layer.states))}
    return found | {name: np.asarray(getattr(*place)) for name, place in _counts(model).items()}


def numbers_of(model: Any) -> dict[str, Any]:
    """Return the rest as JSON values."""
    return {
        "epochs_done": model.epochs_done,
        "shuffle_seed": model.shuffle_seed,
        "random": random_state(model),
        "learning_rate": float(model.optimizer.learning_rate),
    }


def restore(model: Any, weights: Arrays, arrays: Arrays, numbers: Mapping[str, Any]) -> None:
    """Give a compiled model what the functions above returned.

    In the middle of an epoch the model must have its metrics already: a first batch makes them.

    Raises
    ------
    KeyError, TypeError, ValueError
        If they are of another model.
    """
    for name, array in weights_of(model).items():
        array[...] = weights[name]
    prefix = "optimizer/"
    model.optimizer.load_state(
        {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    )
    model.optimizer.learning_rate = float(numbers["learning_rate"])
    for i, layer in enumerate(_stateful(model)):
        count = len(leaves(layer.state_size))
        if f"state/{i}/0" in arrays:
            layer.states = _filled(
                layer.get_initial_state(len(arrays[f"state/{i}/0"])),
                [arrays[f"state/{i}/{j}"] for j in range(count)],
            )
        else:
            layer.reset_state()
    for name, (owner, attribute) in _counts(model).items():
        array = arrays[name]
        if isinstance(owner, Variable):
            owner.assign(array)
        else:
            is_array = isinstance(getattr(owner, attribute), np.ndarray)
            setattr(owner, attribute, np.array(array) if is_array else array.item())
    restore_random_state(model, numbers["random"])
    model.epochs_done = int(numbers["epochs_done"])
    model.shuffle_seed = int(numbers["shuffle_seed"])


def _stateful(model: Any) -> list[Any]:
    return [layer for layer in model._all_layers() if isinstance(layer, RNN) and layer.stateful]


def _filled(states: Any, arrays: list[Array]) -> Any:
    """Return arrays in the structure of a layer's states."""
    left = iter(arrays)
    return mapped(lambda _: constant(np.array(next(left))), states)


def _counts(model: Any) -> dict[str, tuple[Any, str]]:
    """Return where all numbers and arrays of the metrics are, by name: owner and attribute."""
    groups = [getattr(metric, "metrics", None) or [metric] for metric in model.metrics]
    single = [metric for group in groups for metric in group if isinstance(metric, Metric)]
    found: dict[str, tuple[Any, str]] = {}
    for i, metric in enumerate(single):
        parts = [part for part in vars(metric).values() if isinstance(part, Counts)]
        owners = [metric, *parts, *metric.variables]
        for j, owner in enumerate(owners):
            for name, value in _attributes(owner):
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                if is_number or isinstance(value, np.ndarray):
                    found[f"metric/{i}/{j}/{name}"] = owner, name
    return found


def _attributes(owner: Any) -> list[tuple[str, Any]]:
    return [("value", owner.value)] if isinstance(owner, Variable) else list(vars(owner).items())
