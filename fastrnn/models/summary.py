"""A model as a table."""

from __future__ import annotations

import io
import shutil
from typing import Any

import numpy as np


def connected(model: Any) -> list[tuple[Any, list[str]]]:
    """Return each layer of a model and the outputs of others that it takes.

    Of a model whose layers meet in its code, nobody knows the latter.
    """
    if model._graph is not None:
        return list(model._graph.connections())
    return [(layer, []) for layer in model.layers]


def table(
    model: Any,
    *,
    line_length: int | None,
    expand_nested: bool,
    show_trainable: bool,
    layer_range: Any,
) -> str:
    """Return the text that `Model.summary` prints."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    has_branches = model._graph is not None and not hasattr(model, "pop")
    grid = Table(box=box.HEAVY_HEAD, show_lines=True, expand=True)
    grid.add_column("Layer (type)", ratio=5)
    grid.add_column("Output Shape", ratio=4)
    grid.add_column("Param #", ratio=2, justify="right")
    if has_branches:
        grid.add_column("Connected to", ratio=4)
    if show_trainable:
        grid.add_column("Trainable", ratio=1, justify="center")
    for layer, sources, depth in _rows(model, expand_nested, layer_range):
        cells = [
            "  " * depth + f"{layer.name} ({type(layer).__name__})",
            _shape(model, layer),
            f"{layer.count_params():,}" if layer.built else "0 (unbuilt)",
        ]
        if has_branches:
            cells.append(", ".join(sources) or "-")
        if show_trainable:
            cells.append("Y" if layer.trainable else "N")
        grid.add_row(*map(Text, cells))
    width = line_length or min(100, max(60, shutil.get_terminal_size().columns))
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(Text(f'Model: "{model.name}"'))
    console.print(grid)
    for line in _totals(model):
        console.print(Text(line))
    return console.file.getvalue().rstrip("\n")  # type: ignore[attr-defined, no-any-return]


def _rows(model: Any, expand: bool, span: Any, depth: int = 0) -> list[tuple[Any, list[str], int]]:
    rows = connected(model)
    if hasattr(model, "pop"):
        rows = [(layer, sources) for layer, sources in rows if layer in model.layers]
    if span is not None:
        names = [layer.name for layer, _ in rows]
        if len(span) != 2 or any(name not in names for name in span):
            raise ValueError(f"layer_range: expected two of {', '.join(names)}, got {span!r}")
        first, last = sorted(names.index(name) for name in span)
        rows = rows[first : last + 1]
    found = []
    for layer, sources in rows:
        found.append((layer, sources, depth))
        if expand and hasattr(layer, "connections"):
            found += _rows(layer, expand, None, depth + 1)
    return found


def _shape(model: Any, layer: Any) -> str:
    graph = model._graph
    if graph is None or not any(layer is known for known in graph.layers):
        return "?"
    shapes = graph.shapes_of(layer)
    return str(shapes[0]) if len(shapes) == 1 else f"[{', '.join(map(str, shapes))}]"


def _totals(model: Any) -> list[str]:
    changing = _size(model.trainable_variables)
    fixed = _size(model.non_trainable_variables)
    lines = [("Trainable", changing), ("Non-trainable", fixed)]
    kept = (0, 0)
    if model.optimizer is not None:
        arrays = [np.asarray(array) for array in model.optimizer.state.values()]
        kept = (sum(a.size for a in arrays), sum(a.nbytes for a in arrays))
        lines.append(("Optimizer", kept))
    everything = tuple(map(sum, zip(changing, fixed, kept, strict=True)))
    return [
        f" {name} params: {count:,} ({_bytes(size)})"
        for name, (count, size) in [("Total", everything), *lines]
    ]


def _size(variables: list[Any]) -> tuple[int, int]:
    return sum(v.value.size for v in variables), sum(v.value.nbytes for v in variables)


def _bytes(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024:
            return f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} TB"
