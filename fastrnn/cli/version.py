"""The version of the installed package."""

from importlib import metadata


def version() -> str:
    """Return the version of fastrnn."""
    try:
        return metadata.version("fastrnn")
    except metadata.PackageNotFoundError:
        return "0 (not installed)"
