"""Activations by the names that ONNX' recurrent operators have for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastrnn.cells.activations import ACTIVATIONS, Affine, Clipped, Linear

# ONNX compares them without regard to case; "linear" is none of its names.
_CLASSES = {name.replace("_", ""): kind for name, kind in ACTIVATIONS.items() if kind is not Linear}


def activations_of(
    names: Sequence[str],
    alphas: Sequence[float] | None,
    betas: Sequence[float] | None,
    clip: float | None,
) -> list[Any]:
    """Return the activations of a recurrent operator.

    Parameters
    ----------
    names
        In the operator's order, one direction after the other.
    alphas, betas
        Constants, of those activations only that have such a constant, in the same order; where
        they run out, activations have their defaults.
    clip
        Bound of what goes into an activation, positive.

    Raises
    ------
    ValueError
        If a name is unknown or the bound is not positive.
    """
    constants = {"alpha": iter(alphas or ()), "beta": iter(betas or ())}
    found: list[Any] = []
    for name in names:
        if name.lower() not in _CLASSES:
            known = ", ".join(sorted(kind.__name__ for kind in _CLASSES.values()))
            raise ValueError(f"activations: expected some of {known}, got {name!r}")
        activation = _CLASSES[name.lower()]()
        given = {field: next(constants[field], None) for field in activation._fields}
        given = {field: float(value) for field, value in given.items() if value is not None}
        found.append(activation._replace(**given))
    if clip is None:
        return found
    if not clip > 0:
        raise ValueError(f"clip: expected a positive number, got {clip}")
    return [Clipped(activation, float(clip)) for activation in found]


def attributes_of(activations: Sequence[Any]) -> dict[str, Any]:
    """Return the attributes that give a recurrent operator these activations.

    Raises
    ------
    ValueError
        If ONNX has no such activation, or not all are clipped alike.
    """
    clips = {a.limit if isinstance(a, Clipped) else None for a in activations}
    if len(clips) != 1:
        raise ValueError(f"activations: ONNX clips all of them alike, got {activations}")
    plain = [a.activation if isinstance(a, Clipped) else a for a in activations]
    plain = [Affine() if isinstance(a, Linear) else a for a in plain]
    for activation in plain:
        if type(activation).__name__.lower() not in _CLASSES:
            raise ValueError(f"activations: ONNX has no {activation!r}")
    attributes: dict[str, Any] = {"activations": [type(a).__name__ for a in plain]}
    for field in ("alpha", "beta"):
        values = [float(getattr(a, field)) for a in plain if field in a._fields]
        if values:
            attributes[f"activation_{field}"] = values
    (clip,) = clips
    return attributes if clip is None else attributes | {"clip": float(clip)}
