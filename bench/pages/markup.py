"""HTML elements, in which every text is escaped, and numbers as they are shown."""

from __future__ import annotations

import html
import math

# Stands where there is no figure.
NOTHING = "\N{EN DASH}"

_VOID = ("img", "meta", "source")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | int | None) -> Markup:
    """Return an element; children that are no `Markup` are escaped.

    An attribute that is None is left out; `class_` is written `class`.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(*children)}</{name}>")


def joined(*children: str) -> Markup:
    """Return children one after the other; those that are no `Markup` are escaped."""
    return Markup(
        "".join(str(c) if isinstance(c, Markup) else html.escape(str(c)) for c in children)
    )


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number of at least 0 with so many significant digits, a dash for None."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    if not 1e-4 <= value < 1e7:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(value)))}f}"


def spread(low: float, high: float) -> str:
    """Return the two quartiles."""
    return f"{figure(low)}\N{EN DASH}{figure(high)}"
