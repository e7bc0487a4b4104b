"""What a command cannot do, said in one line."""

from __future__ import annotations

import errno


class CommandError(Exception):
    """A command cannot go on; the message is for the user.

    Parameters
    ----------
    message
        What is wrong and, where there is one, the way out.
    status
        The exit status: 2 for bad input, 1 for a failure on the way.
    """

    def __init__(self, message: str, *, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def describe(error: Exception) -> str | None:
    """Return the line for the user about `error`, or None if it is a mistake of this program."""
    match error:
        case CommandError():
            line = str(error)
        case ValueError() if _is_about_input(error):
            line = str(error)
        case OSError() if error.errno is not None:
            place = f"{error.filename}: " if error.filename is not None else ""
            line = f"{place}{error.strerror or errno.errorcode.get(error.errno, error.errno)}"
        case MemoryError():
            line = "not enough memory: a smaller model, --batch or --window may fit"
        case _:
            return None
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _is_about_input(error: ValueError) -> bool:
    # Imported here: --help and a mistyped option come without NumPy.
    from fastrnn.models.checkpoint import CheckpointError
    from fastrnn.preprocessing.text import TextError

    return isinstance(error, (CheckpointError, TextError))
