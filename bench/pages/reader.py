"""Reads the JSON file of a run: every field is checked, and errors name it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .results import (
    FORMAT,
    OURS,
    Case,
    Measurement,
    Ratio,
    Report,
    Result,
    Rival,
    Scaling,
    ThreadPoint,
    Wrong,
)

_LARGEST_BYTES = 64 << 20

# Beyond any true figure, and far from where quotients of them leave float64.
_SMALLEST_NUMBER, _LARGEST_NUMBER = 1e-12, 1e24

_MOST_CANDIDATES = 64

# Of JSON as Python reads it: -Infinity.
_LONGEST_WORD = 9

_KINDS = ("layer", "step", "stream")
_PASSES = ("forward", "training")
_LENGTHS = ("even", "uniform", "lognormal")


class ReportError(ValueError):
    """A file is not a whole and correct report of the suite; names the field that is wrong."""


def read(path: str | Path) -> Report:
    """Return what is in a JSON file of the suite.

    Unknown fields are left out.  Characters that cannot be printed are replaced.

    Raises
    ------
    ReportError
        If the file cannot be read, is cut off, is of another format, or a field is wrong.
    """
    try:
        return parse(_decoded(_content(Path(path))))
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from None


def parse(content: Any) -> Report:
    """Return the report that JSON values hold.

    Raises
    ------
    ReportError
        If it is of another format, or a field is wrong.
    """
    try:
        return _report(_Field("", content))
    except RecursionError:
        raise ReportError("it is nested too deeply") from None


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ReportError(f"cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST_BYTES:
        raise ReportError(f"expected at most {_LARGEST_BYTES >> 20} MiB, got more")
    return content


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        is_cut = "Unterminated" in error.msg or error.pos > len(error.doc.rstrip()) - _LONGEST_WORD
        cut = "; the file seems to be cut off" if is_cut else ""
        raise ReportError(f"expected JSON: {error.msg} at {where}{cut}") from error
    except UnicodeDecodeError as error:
        raise ReportError(f"expected JSON in UTF-8: byte {error.start} is not") from error
    except ValueError as error:  # a number of thousands of digits
        raise ReportError(f"expected JSON: {error}") from error
    except RecursionError as error:
        raise ReportError("expected JSON: it is nested too deeply") from error


@dataclass(frozen=True)
class _Field:
    """A value of the file and where it stands: `results[3].case.T`."""

    path: str
    value: Any

    def wrong(self, expected: str) -> ReportError:
        match self.value:
            case list():
                got = "a list"
            case dict():
                got = "an object"
            case _:
                got = repr(self.value)
        got = got if len(got) <= 60 else f"{got[:57]}..."
        return ReportError(f"{self.path or 'the file'}: expected {expected}, got {got}")

    def _step(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def names(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self.value

    def __getitem__(self, name: str) -> _Field:
        if name not in self.names():
            raise ReportError(f"{self._step(name)}: missing")
        return _Field(self._step(name), self.value[name])

    def get(self, name: str, default: Any = None) -> _Field:
        return _Field(self._step(name), self.names().get(name, default))

    def items(self) -> Iterator[tuple[str, _Field]]:
        for name, value in self.names().items():
            yield _printable(name), _Field(self._step(_printable(name)), value)

    def entries(self) -> Iterator[_Field]:
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        for index, value in enumerate(self.value):
            yield _Field(f"{self.path}[{index}]", value)

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.wrong("a text")
        return _printable(self.value)

    def lines(self) -> list[str]:
        """Return a text of several lines, without the empty ones."""
        self.text()
        return [_printable(line).strip() for line in self.value.splitlines() if line.strip()]

    def choice(self, choices: tuple[str, ...]) -> str:
        if self.value not in choices:
            raise self.wrong(" or ".join(map(repr, choices)))
        return str(self.value)

    def whole(self, least: int) -> int:
        value = self.value
        if type(value) is not int or not least <= value <= _LARGEST_NUMBER:
            raise self.wrong(f"a whole number, at least {least}")
        return value

    def number(self, least: float = 0.0) -> float:
        value = self.value
        if type(value) not in (int, float) or not least <= value <= _LARGEST_NUMBER:
            raise self.wrong(f"a number within {least:g}..{_LARGEST_NUMBER:g}")
        return float(value)

    def positive(self) -> float:
        return self.number(_SMALLEST_NUMBER)

    def number_or_none(self) -> float | None:
        return None if self.value is None else self.number()

    def shown(self) -> str:
        """Return any value as text."""
        match self.value:
            case None:
                return "not known"
            case bool():
                return "yes" if self.value else "no"
            case str():
                return self.text()
            case list() if all(isinstance(entry, str | int | float) for entry in self.value):
                return ", ".join(_Field("", entry).shown() for entry in self.value)
            case _:
                return _printable(json.dumps(self.value, ensure_ascii=False))

    def texts(self) -> dict[str, str]:
        return {name: field.shown() for name, field in self.items()}


def _printable(text: str) -> str:
    """Replace what could change the page, the picture or the terminal around the text."""
    return "".join(
        letter if letter.isprintable() else " " if letter.isspace() else "\N{REPLACEMENT CHARACTER}"
        for letter in text
    )


def _report(file: _Field) -> Report:
    file["format"].choice((FORMAT,))
    pinning = file.get("pinning")
    return Report(
        date=file["date"].text(),
        machine=file["machine"].texts(),
        versions=file["versions"].texts(),
        threads=file["threads"].whole(1),
        pinning=None if pinning.value is None else pinning.text(),
        settings=file["settings"].texts(),
        rivals={name: _rival(rival) for name, rival in file["rivals"].items()},
        results=tuple(_result(entry) for entry in file["results"].entries()),
        scaling=tuple(_scaling(entry) for entry in file.get("scaling", []).entries()),
        wrong=tuple(_wrong(entry) for entry in file.get("wrong", []).entries()),
    )


def _rival(field: _Field) -> Rival:
    return Rival(
        status=field["status"].text(),
        versions=field.get("versions", {}).texts(),
        threads=field.get("threads", "").shown(),
        denormals=field.get("denormals", "").shown(),
        install=field.get("install", "").shown(),
        reason=field.get("reason", "").shown(),
    )


def _case(field: _Field) -> Case:
    vocabulary = field.get("vocabulary")
    return Case(
        name=field["name"].text(),
        group=field["group"].text(),
        kind=field["kind"].choice(_KINDS),
        cell=field["cell"].text(),
        pass_=field["pass"].choice(_PASSES),
        T=field["T"].whole(1),
        B=field["B"].whole(1),
        I=field["I"].whole(1),
        H=field["H"].whole(1),
        layers=field["layers"].whole(1),
        directions=field["directions"].whole(1),
        lengths=field["lengths"].choice(_LENGTHS),
        dtype=field["dtype"].text(),
        vocabulary=None if vocabulary.value is None else vocabulary.whole(1),
    )


def _result(field: _Field) -> Result:
    candidates = field["candidates"]
    if len(candidates.names()) > _MOST_CANDIDATES:
        raise candidates.wrong(f"at most {_MOST_CANDIDATES} candidates")
    compared = OURS in candidates.names()
    return Result(
        case=_case(field["case"]),
        operations=field["operations"].whole(0),
        bytes=field["bytes"].whole(0),
        peak_gflops=field["peak_gflops"].positive(),
        bandwidth_gb_s=field["bandwidth_gb_s"].positive(),
        candidates={
            name: _measurement(candidate, with_ratio=compared and name != OURS)
            for name, candidate in candidates.items()
        },
        refused=field.get("refused", {}).texts(),
    )


def _wrong(field: _Field) -> Wrong:
    return Wrong(_case(field["case"]), field["candidate"].text(), field["reason"].shown())


def _spread(field: _Field, *, middle: str, low: str, high: str) -> tuple[float, float, float]:
    """Return median and quartiles, which are in order."""
    median = field[middle].positive()
    least, most = field[low].positive(), field[high].positive()
    if least > median:
        raise field[low].wrong(f"at most {middle} ({median:g})")
    if most < median:
        raise field[high].wrong(f"at least {middle} ({median:g})")
    return median, least, most


def _measurement(field: _Field, *, with_ratio: bool) -> Measurement:
    ms, low_ms, high_ms = _spread(field, middle="ms", low="low_ms", high="high_ms")
    ratio = None
    if with_ratio:
        ratio = Ratio(*_spread(field, middle="ratio", low="ratio_low", high="ratio_high"))
    rounds = field.get("rounds_ms", []).entries()
    return Measurement(
        ms=ms,
        low_ms=low_ms,
        high_ms=high_ms,
        rounds_ms=tuple(entry.number() for entry in rounds),
        gflops=field.get("gflops").number_or_none(),
        share=field.get("share").number_or_none(),
        error=field.get("error").number_or_none(),
        first_call_s=field.get("first_call_s").number_or_none(),
        peak_rss_mb=field.get("peak_rss_mb").number_or_none(),
        energy_j=field.get("energy_j").number_or_none(),
        variant=field.get("variant", "").text(),
        variants={name: ms.number() for name, ms in field.get("variants", {}).items()},
        ratio=ratio,
    )


def _scaling(field: _Field) -> Scaling:
    return Scaling(
        case=_case(field["case"]),
        points=tuple(_thread_point(entry) for entry in field["threads"].entries()),
    )


def _thread_point(field: _Field) -> ThreadPoint:
    ms, low_ms, high_ms = _spread(field, middle="ms", low="low_ms", high="high_ms")
    return ThreadPoint(
        threads=field["threads"].whole(1),
        ms=ms,
        low_ms=low_ms,
        high_ms=high_ms,
        gflops=field.get("gflops").number_or_none(),
        peak_gflops=field.get("peak_gflops").number_or_none(),
        predicted_ms=field.get("predicted_ms").number_or_none(),
        plan="; ".join(field.get("plan", "").lines()),
    )
