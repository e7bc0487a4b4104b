"""Loops and branches: as everything is computed at once, Python's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastrnn.ops.creation import convert_to_tensor
from fastrnn.ops.shapes import stack, unstack


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """Return true_fn() if `pred`, else false_fn()."""
    return true_fn() if bool(pred) else false_fn()


def fori_loop(lower: int, upper: int, body_fun: Callable[[int, Any], Any], init_val: Any) -> Any:
    """Return val after val = body_fun(i, val) for i from lower to upper - 1, first init_val."""
    for i in range(int(lower), int(upper)):
        init_val = body_fun(i, init_val)
    return init_val


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """Return what is left of `loop_vars` after loop_vars = body(*loop_vars) while cond holds.

    A list or tuple of variables, or one by itself.
    """
    is_one = not isinstance(loop_vars, list | tuple)
    values = (loop_vars,) if is_one else tuple(loop_vars)
    done = 0
    while bool(cond(*values)) and (maximum_iterations is None or done < maximum_iterations):
        result = body(*values)
        values = tuple(result) if isinstance(result, list | tuple) else (result,)
        done += 1
    return values[0] if is_one else values


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Return the last carry and the outputs of carry, y = f(carry, x) for each slice x of xs.

    Parameters
    ----------
    f : callable
    init : any
        The first carry.
    xs : array (T, ...) or list, tuple or dict of them, optional
        None for `length` calls with None.
    length : int, optional
        T.
    reverse : bool
        From the last slice to the first; outputs stand where their slices do.

    Returns
    -------
    carry : any
    ys : like an output of `f`, with arrays (T, ...)
    """
    slices = [None] * (length or 0) if xs is None else _slices(xs)
    if length is not None and length != len(slices):
        raise ValueError(f"length: expected {len(slices)} as xs, got {length}")
    outputs = []
    for x in slices[::-1] if reverse else slices:
        init, y = f(init, x)
        outputs.append(y)
    return init, _stacked(outputs[::-1] if reverse else outputs)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Return the results of `f` for each slice of xs (T, ...), or of several, side by side."""
    return _stacked([f(x) for x in _slices(xs)])


def _slices(xs: Any) -> list[Any]:
    if isinstance(xs, dict):
        parts = [_slices(x) for x in xs.values()]
        return [dict(zip(xs, slices, strict=True)) for slices in zip(*parts, strict=True)]
    if isinstance(xs, list | tuple):
        return [type(xs)(slices) for slices in zip(*(_slices(x) for x in xs), strict=True)]
    return list(unstack(convert_to_tensor(xs)))


def _stacked(results: list[Any]) -> Any:
    if not results or results[0] is None:
        return None
    first = results[0]
    if isinstance(first, dict):
        return {key: _stacked([result[key] for result in results]) for key in first}
    if isinstance(first, list | tuple):
        return type(first)(_stacked(list(parts)) for parts in zip(*results, strict=True))
    return stack(results)
