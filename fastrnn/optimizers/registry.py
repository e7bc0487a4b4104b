"""Optimizers by name, and as what files of configuration hold of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastrnn.optimizers.adam import Adam, Adamax, AdamW, Nadam
from fastrnn.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from fastrnn.optimizers.descent import SGD, Lion
from fastrnn.optimizers.optimizer import Optimizer

#: Every optimizer by the name that `compile` takes.
OPTIMIZERS: dict[str, type[Any]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "adam": Adam,
    "adamw": AdamW,
    "adamax": Adamax,
    "nadam": Nadam,
    "lion": Lion,
}


def get(identifier: Any) -> Optimizer | None:
    """Return an optimizer.

    Parameters
    ----------
    identifier : str, mapping, Optimizer or None
        A name out of `OPTIMIZERS` in upper or lower case: the optimizer with all defaults.  A
        mapping: what `deserialize` takes.  An optimizer and None are returned as they are.

    Raises
    ------
    ValueError
        If there is no such optimizer.
    """
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        return _find(identifier, {})()  # type: ignore[no-any-return]
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    raise ValueError(
        f"identifier: expected the name of an optimizer, its configuration or itself, "
        f"got {identifier!r}"
    )


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """Return what `deserialize` makes the optimizer of again, in the form of Keras' files.

    Parameters
    ----------
    optimizer : Optimizer
        Its state is not included.

    Returns
    -------
    dict
        With entries "module", "class_name", "config" and "registered_name".
    """
    name = type(optimizer).__name__
    own = type(optimizer) is OPTIMIZERS.get(name.lower())
    return {
        "module": "keras.optimizers" if own else None,
        "class_name": name,
        "config": optimizer.get_config(),
        "registered_name": None if own else name,
    }


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Optimizer:
    """Return the optimizer that `serialize` returned `config` of, or Keras' function of that name.

    Parameters
    ----------
    config : mapping
    custom_objects : mapping of classes by name, optional
        Optimizers and schedules beside those of this package.

    Raises
    ------
    ValueError
        If it is not such a mapping, or there is no optimizer of that name.
    """
    try:
        name, options = config["class_name"], dict(config["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"config: expected a mapping with 'class_name' and 'config', got {config!r}"
        ) from error
    kind = _find(name, custom_objects or {})
    return kind.from_config(options, custom_objects)  # type: ignore[no-any-return]


def _find(name: str, others: Mapping[str, Any]) -> Any:
    kind = others.get(name) or OPTIMIZERS.get(name.lower())
    if kind is None:
        known = ", ".join([*OPTIMIZERS, *others])
        raise ValueError(f"optimizer: expected one of {known}, got {name!r}")
    return kind
