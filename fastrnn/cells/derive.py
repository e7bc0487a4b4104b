"""The backward pass of a formula, derived symbolically, and the Python functions made of both.

(1) Reverse mode: from the new states down to the pre-activations, every value hands its gradient
    to its operands, by the rule of its operation.
(2) One number a gate is saved for backward: of all values that forward has, those that leave
    backward the least to compute again.  Without need of its input, u = sigmoid(a) is kept and
    not a.  The states before and after the step are there anyway.
(3) The values that the results need are written down as Python source.
"""

from __future__ import annotations

import ast
import keyword
import linecache
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import count
from types import CodeType, FunctionType
from typing import Any

from fastrnn.cells.formula import FUNCTIONS, Value, expression

# (1) Gradients


def _pullback(value: Value, d: Value) -> tuple[Value | None, ...]:
    """Return the gradients of the operands of `value`, whose own is d."""
    match value.operation:
        case "+":
            return d, d
        case "-":
            return d, -d
        case "neg":
            return (-d,)
        case "*":
            x, y = value.operands
            return d * y, d * x
        case "/":
            part = d / value.operands[1]
            return part, -(part * value)
        case name:
            return FUNCTIONS[name].pullback(d, value, *value.operands)


def gradients(
    results: Sequence[Value], seeds: Sequence[Value], wanted: Sequence[Value]
) -> list[Value]:
    """Return the gradients of the symbols `wanted`, where those of `results` are `seeds`."""
    graph = wanted[0].graph
    active = {value.index for value in wanted}
    below = _computed(results, active)
    for value in below:
        if any(operand.index in active for operand in value.operands):
            active.add(value.index)
    totals: dict[int, Value] = {}

    def receive(value: Value, d: Value | None) -> None:
        if d is not None and value.index in active:
            total = totals.get(value.index)
            totals[value.index] = d if total is None else total + d

    for value, seed in zip(results, seeds, strict=True):
        receive(value, seed)
    for value in reversed(below):
        if value.index in totals:
            parts = _pullback(value, totals[value.index])
            for operand, part in zip(value.operands, parts, strict=True):
                receive(operand, part)
    return [totals.get(value.index, graph.value(0.0)) for value in wanted]


# (2) What to save


def _computed(results: Iterable[Value], given: Collection[int]) -> list[Value]:
    """Return the operations that make `results` of the values `given`, operands first.

    Raises LookupError where a symbol is missing.
    """
    found: dict[int, Value] = {}
    pending = list(results)
    while pending:
        value = pending.pop()
        if value.index in given or value.index in found or value.operation == "number":
            continue
        if value.operands:
            found[value.index] = value
            pending += value.operands
        elif value.is_vector and value is not value.graph.like:
            raise LookupError(value.content)
    return [found[index] for index in sorted(found)]


def _cost(values: Iterable[Value]) -> int:
    """Return what it takes to compute values, in additions."""
    total = 0
    for value in values:
        if value.operation in FUNCTIONS:
            total += FUNCTIONS[value.operation].cost
        elif value.is_vector:
            total += 8 if value.operation == "/" else 1
    return total


def chosen_saved(
    gates: Sequence[Value],
    results: Sequence[Value],
    given: Collection[int],
    candidates: Collection[int],
) -> list[Value]:
    """Return one value a gate, from which and from `given` to compute `results`.

    Starts from the gates themselves and exchanges one at a time for one of `candidates`, as long
    as that spares backward something.
    """
    saved = list(gates)

    def needed(saved: Iterable[Value]) -> list[Value]:
        return _computed(results, {*given, *(value.index for value in saved)})

    while True:
        now = needed(saved)
        best = (_cost(now), saved)
        for value in now:
            if value.index not in candidates:
                continue
            for place in range(len(saved)):
                trial = [*saved[:place], value, *saved[place + 1 :]]
                try:
                    cost = _cost(needed(trial))
                except LookupError:
                    continue
                if cost < best[0]:
                    best = (cost, trial)
        if best[1] is saved:
            return saved
        saved = best[1]


# (3) Source

_LONGEST_EXPRESSION = 8  # operations in one


class _Names:
    """Names of values in one function, each taken once."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self.of: dict[int, str] = {}

    def give(self, value: Value, name: str) -> str:
        while name in self._taken or keyword.iskeyword(name):
            name += "_"
        self._taken.add(name)
        self.of[value.index] = name
        return name


def _written(
    name: str,
    parameters: dict[str, Sequence[Value]],
    results: Sequence[Sequence[Value]],
    preferred: dict[int, str],
    docstring: str,
) -> tuple[str, set[str]]:
    """Return the source of `name(cell, *parameters) -> results`, and the functions it calls.

    parameters, results   tuples of values
    preferred             names for values that are to have one
    """
    given = {v.index: v for values in parameters.values() for v in values if v.is_vector}
    flat = [value for values in results for value in values]
    computed = _computed(flat, given)
    uses = Counter(v.index for v in flat)
    uses.update(operand.index for value in computed for operand in value.operands)
    first, *_ = next(iter(parameters.values()))
    like = first.graph.like
    uses[first.index] += uses[like.index]

    names = _Names(["cell", *parameters, *FUNCTIONS])
    lines = [f"def {name}(cell, {', '.join(parameters)}):", f'    """{docstring}"""']
    for parameter, values in parameters.items():
        targets = [
            names.give(v, preferred.get(v.index, str(v.content)))
            if v.index in given and uses[v.index] and v.index not in names.of
            else "_"
            for v in values
        ]
        if set(targets) != {"_"}:
            target = f"({targets[0]},)" if len(targets) == 1 else ", ".join(targets)
            lines.append(f"    {target} = {parameter}")
    if uses[like.index]:
        names.of[like.index] = names.of[first.index]

    lengths: dict[int, int] = {}
    numbered = count(1)
    for value in computed:
        length = 1 + sum(lengths.get(operand.index, 0) for operand in value.operands)
        wanted = preferred.get(value.index)
        if wanted is None and uses[value.index] == 1 and length < _LONGEST_EXPRESSION:
            lengths[value.index] = length
            continue
        if wanted is None:
            operands = [names.of.get(operand.index) for operand in value.operands]
            is_plain_call = value.operation in FUNCTIONS and len(operands) == 1 and operands[0]
            wanted = f"{value.operation}_{operands[0]}" if is_plain_call else f"t{next(numbered)}"
        written = ast.unparse(expression(value, names.of))
        lines.append(f"    {names.give(value, wanted)} = {written}")
    tuples = [
        ast.Tuple([expression(value, names.of) for value in values], ast.Load())
        for values in results
    ]
    lines.append(f"    return {ast.unparse(ast.Tuple(list(tuples), ast.Load()))}")
    called = {value.operation for value in computed if value.operation in FUNCTIONS}
    return "\n".join(lines) + "\n", called


_sources = count(1)


def _function(source: str, called: set[str], name: str, owner: type) -> Any:
    """Return the function of a source, as a method of `owner`."""
    place = f"{owner.__module__}.{owner.__qualname__}.{name}"
    filename = f"<derived {next(_sources)} {place}>"
    # For tracebacks, and for users who want to read it: inspect.getsource.
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    module = compile(source, filename, "exec")
    code = next(constant for constant in module.co_consts if isinstance(constant, CodeType))
    namespace = {function: FUNCTIONS[function].function for function in called}
    function = FunctionType(code, {"__name__": owner.__module__, **namespace}, name)
    function.__qualname__ = f"{owner.__qualname__}.{name}"
    return function


def functions(
    owner: type, gates: dict[str, Value], before: dict[str, Value], after: Sequence[Value]
) -> tuple[Any, Any]:
    """Return `forward` and `backward` of a cell; see `fastrnn.cells`.

    owner           the class that they belong to
    gates, before   symbols by the names of gates and states
    after           the states that the formula makes of them
    """
    graph = after[0].graph
    letters, states = list(gates), list(before)
    a, old = list(gates.values()), list(before.values())
    known = [v.index for v in (*a, *old)]
    forward_has = {v.index for v in _computed(after, known) if v.is_vector}
    dstate = [graph.symbol(f"d{state}") for state in states]
    results = gradients(after, dstate, [*a, *old])
    da, dold = results[: len(a)], results[len(a) :]

    there = [v.index for v in (*old, *after, *dstate) if v.is_vector]
    saved = chosen_saved(a, results, there, forward_has)
    kept = {v.index: g for g, v in zip(letters, saved, strict=True) if v.operands}
    new = {v.index: s for s, v in zip(states, after, strict=True) if v.operands}
    forward = _written(
        "forward", {"a": a, "state": old}, [saved, after], new | kept, f"{owner.__name__}.step"
    )
    arriving = {v.index: f"da_{g}" for g, v in zip(letters, da, strict=True) if v.operands}
    leaving = {v.index: f"d{s}_prev" for s, v in zip(states, dold, strict=True) if v.operands}
    backward = _written(
        "backward",
        {"saved": saved, "before": old, "after": after, "dstate": dstate},
        [da, dold],
        leaving | arriving | new | kept,
        f"Gradients of {owner.__name__}.step",
    )
    return (
        _function(*forward, "forward", owner),
        _function(*backward, "backward", owner),
    )
