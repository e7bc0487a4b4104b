"""Text for character models: reading, vocabulary, split, and windows for truncated BPTT."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

MINIMUM_CHARACTERS = 200
VALIDATION_FRACTION = 0.1

_UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"


class TextError(ValueError):
    """A text cannot be read, or is too short to train on."""


def read_documentation() -> str:
    """Return the English text of CPython's own documentation topics.

    Returns
    -------
    str
        All topics of `pydoc_data.topics`, by name, with a blank line between two.

    Raises
    ------
    TextError
        If this Python comes without the topics.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise TextError(
            "this Python comes without its documentation topics (pydoc_data.topics): "
            "give a text file to train on"
        ) from error
    return "\n".join(topics[name] for name in sorted(topics))


def read_files(paths: Sequence[str | Path]) -> str:
    r"""Return the text of UTF-8 files, one after the other.

    Parameters
    ----------
    paths
        At least one file. A byte-order mark is dropped and line ends become `\n`.

    Returns
    -------
    str
        The texts joined by line ends.

    Raises
    ------
    TextError
        If a file is missing, unreadable, empty, not UTF-8, or not a file.
    """
    return "\n".join(_read_file(Path(path)) for path in paths)


def _read_file(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise TextError(f"{path}: expected a text file, got a folder")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise TextError(f"{path}: expected a text file, got a device or a socket")
        encoded = path.read_bytes()
    except OSError as error:
        raise TextError(f"{path}: {error.strerror or error}") from error
    try:
        text = encoded.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise TextError(
            f"{path}: expected UTF-8 text, got the byte 0x{byte:02x} at offset {error.start}"
        ) from error
    if not text:
        raise TextError(f"{path}: the file is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split(text: str, *, fraction: float = VALIDATION_FRACTION) -> tuple[str, str]:
    """Cut `text` into a training part and a validation part, its last `fraction`.

    Raises
    ------
    TextError
        If the text has fewer than `MINIMUM_CHARACTERS` characters.
    ValueError
        If `fraction` is not in 0..1 (both excluded).
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fraction: expected a number between 0 and 1, got {fraction}")
    if len(text) < MINIMUM_CHARACTERS:
        raise TextError(
            f"the text is too short: expected at least {MINIMUM_CHARACTERS} characters, "
            f"got {len(text)}"
        )
    # Two characters make one prediction: each part needs that much.
    held_out = min(max(2, round(len(text) * fraction)), len(text) - 2)
    return text[:-held_out], text[-held_out:]


def fitting_batch(characters: int, *, batch: int, window: int) -> int:
    """Return the largest batch, `batch` at most, whose streams each fill one window.

    A text shorter than one window gets a single stream.
    """
    return max(1, min(batch, (characters - 1) // window))


class Vocabulary:
    """The characters that a model knows, and one more id for all others.

    Ids follow the sorted characters; `unknown` comes after them.

    Parameters
    ----------
    text
        Every character of it is known.

    Raises
    ------
    ValueError
        If `text` is empty.

    Examples
    --------
    >>> vocabulary = Vocabulary("banana")
    >>> vocabulary.encode("nab?").tolist()
    [2, 0, 1, 3]
    >>> vocabulary.decode([2, 0, 1])
    'nab'
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("text: expected at least one character, got an empty text")
        self.characters: tuple[str, ...] = tuple(sorted(set(text)))
        self.unknown = len(self.characters)
        codes = _code_points("".join(self.characters))
        # One entry past the largest known code: there every larger code is sent.
        self._ids = np.full(int(codes[-1]) + 2, self.unknown, np.int32)
        self._ids[codes] = np.arange(self.unknown, dtype=np.int32)
        self._codes = np.append(codes, np.uint32(ord(_UNKNOWN_CHARACTER))).astype("<u4")

    @classmethod
    def from_list(cls, characters: object) -> Vocabulary:
        """Return the vocabulary that `to_list` described.

        Raises
        ------
        ValueError
            If `characters` is not a list of sorted, different single characters.
        """
        if not isinstance(characters, list) or not all(
            isinstance(character, str) and len(character) == 1 for character in characters
        ):
            raise ValueError("vocabulary: expected a list of single characters")
        if not characters or characters != sorted(set(characters)):
            raise ValueError("vocabulary: expected sorted, different characters")
        "".join(characters).encode()  # a surrogate alone is no character
        return cls("".join(characters))

    def to_list(self) -> list[str]:
        """Return the known characters in the order of their ids, ready for JSON."""
        return list(self.characters)

    def __len__(self) -> int:
        """Return the number of ids, the unknown one included."""
        return self.unknown + 1

    def encode(self, text: str) -> NDArray[np.int32]:
        """Return the ids of `text`, (len(text),) int32; never fails."""
        ids: NDArray[np.int32] = self._ids[
            np.minimum(_code_points(text), np.uint32(len(self._ids) - 1))
        ]
        return ids

    def decode(self, ids: ArrayLike) -> str:
        """Return the text of `ids` (N,) integers; the unknown id becomes U+FFFD.

        Raises
        ------
        ValueError
            If an id is out of range, or `ids` is not one-dimensional.
        """
        indices = np.asarray(ids, np.int64)
        if indices.ndim != 1:
            raise ValueError(f"ids: expected one dimension, got shape {indices.shape}")
        if indices.size and (indices.min() < 0 or indices.max() > self.unknown):
            raise ValueError(f"ids: expected integers in 0..{self.unknown}")
        return self._codes[indices].tobytes().decode("utf-32-le", "surrogatepass")


def _code_points(text: str) -> NDArray[np.uint32]:
    # A prompt from the command line may carry surrogates for bytes that are not UTF-8.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(
        np.uint32, copy=False
    )


class Windows:
    """Continuous batches for truncated backpropagation through time.

    The tokens are cut into `batch` parallel streams, each a contiguous piece of the
    text, and the streams into windows: row b of window k + 1 goes on where row b of
    window k ended, so a state can be carried. Only the (len(tokens) - 1) % batch
    predictions at the very end are left out.

    Parameters
    ----------
    tokens
        (N,) int32, N >= batch + 1.
    batch
        Number of parallel streams B.
    window
        Number of steps T of a window; the last one may have fewer, at least one.

    Raises
    ------
    ValueError
        If there are too few tokens, or `batch` or `window` is below 1.

    Examples
    --------
    >>> windows = Windows(np.arange(10, dtype=np.int32), batch=2, window=3)
    >>> [inputs.T.tolist() for inputs, targets in windows]
    [[[0, 1, 2], [4, 5, 6]], [[3], [7]]]
    """

    def __init__(self, tokens: NDArray[np.int32], *, batch: int, window: int) -> None:
        if batch < 1 or window < 1:
            raise ValueError(f"batch, window: expected at least 1, got {batch} and {window}")
        if tokens.ndim != 1 or len(tokens) <= batch:
            raise ValueError(
                f"tokens: expected at least batch + 1 = {batch + 1} tokens in one dimension, "
                f"got shape {tokens.shape}"
            )
        self.batch = batch
        self.window = window
        self.length = (len(tokens) - 1) // batch
        used = self.length * batch
        self._inputs = self._time_major(tokens[:used])
        self._targets = self._time_major(tokens[1 : used + 1])

    def _time_major(self, tokens: NDArray[np.int32]) -> NDArray[np.int32]:
        streams = tokens.reshape(self.batch, self.length)
        return np.ascontiguousarray(streams.T, dtype=np.int32)

    @property
    def characters(self) -> int:
        """Number of predictions in all windows together."""
        return self.length * self.batch

    def __len__(self) -> int:
        return (self.length + self.window - 1) // self.window

    def __getitem__(self, index: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return inputs (T, B) and targets (T, B) of a window, int32, C-contiguous."""
        if not 0 <= index < len(self):
            raise IndexError(f"window: expected 0..{len(self) - 1}, got {index}")
        steps = slice(index * self.window, (index + 1) * self.window)
        return self._inputs[steps], self._targets[steps]

    def __iter__(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        return (self[index] for index in range(len(self)))
