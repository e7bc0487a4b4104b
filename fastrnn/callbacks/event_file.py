"""Event files that TensorBoard shows: scalars, histograms, images, texts and graphs."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class EventFile:
    """One file of events, written through the tensorboard package.

    Parameters
    ----------
    folder : str or path
        Is made if absent; the file's name is TensorBoard's.

    Raises
    ------
    ImportError
        If tensorboard is not installed.
    OSError
        If the file cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ImportError(
                "TensorBoard: the package tensorboard is not installed; "
                "pip install fastrnn[tensorboard]"
            ) from error
        self._Event, self._Summary = event_pb2.Event, summary_pb2.Summary
        self._writer = EventFileWriter(os.fspath(folder))

    def scalar(self, name: str, value: float, step: int) -> None:
        """Add a point to a curve."""
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        self._add(scalar_pb(name, np.float32(value)), step)

    def histogram(self, name: str, values: Array, step: int) -> None:
        """Add the distribution of an array of any shape; what is not finite is left out."""
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb

        numbers = np.asarray(values, np.float64).ravel()
        self._add(histogram_pb(name, numbers[np.isfinite(numbers)]), step)

    def image(self, name: str, pixels: Array, step: int) -> None:
        """Add a picture, (height, width) or (height, width, 3) uint8."""
        from tensorboard.plugins.image import metadata
        from tensorboard.util import tensor_util

        height, width = pixels.shape[:2]
        content = np.array([str(width).encode(), str(height).encode(), png(pixels)], object)
        summary = self._Summary()
        summary.value.add(
            tag=name,
            metadata=metadata.create_summary_metadata(display_name=None, description=None),
            tensor=tensor_util.make_tensor_proto(content),
        )
        self._add(summary, step)

    def text(self, name: str, content: str, step: int) -> None:
        """Add a text, shown as Markdown."""
        from tensorboard.plugins.text import metadata
        from tensorboard.util import tensor_util

        summary = self._Summary()
        summary.value.add(
            tag=name,
            metadata=metadata.create_summary_metadata(display_name=None, description=None),
            tensor=tensor_util.make_tensor_proto(np.array(content.encode(), object)),
        )
        self._add(summary, step)

    def graph(self, nodes: Sequence[tuple[str, str, Sequence[str]]]) -> None:
        """Add a graph of nodes: the name of each, what it is, and whom it takes its inputs from."""
        from tensorboard.compat.proto import graph_pb2

        graph = graph_pb2.GraphDef()
        for name, kind, sources in nodes:
            graph.node.add(name=name, op=kind, input=list(sources))
        event = self._Event(graph_def=graph.SerializeToString(), wall_time=time.time())
        self._writer.add_event(event)

    def flush(self) -> None:
        """Put everything on the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Put everything on the disk and close the file."""
        self._writer.close()

    def _add(self, summary: Any, step: int) -> None:
        self._writer.add_event(self._Event(summary=summary, step=step, wall_time=time.time()))


def png(pixels: Array) -> bytes:
    """Return a PNG file.

    Parameters
    ----------
    pixels : (height, width) or (height, width, 3) uint8
        Grey, or red, green and blue.

    Raises
    ------
    ValueError
        If `pixels` is not as described.
    """
    is_picture = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if not is_picture or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise ValueError(
            f"pixels: expected (height, width) or (height, width, 3) uint8, "
            f"got {pixels.shape} {pixels.dtype}"
        )
    height, width = pixels.shape[:2]
    colours = 2 if pixels.ndim == 3 else 0
    rows = np.zeros((height, pixels[0].size + 1), np.uint8)  # each starts with its filter, none
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def grey(values: Array) -> Array:
    """Return a matrix or vector as a picture: its least value black, its largest white.

    values (height, width) or (width,) of floats; returns (height, width) uint8.
    """
    matrix = np.atleast_2d(np.asarray(values, np.float64))
    finite = matrix[np.isfinite(matrix)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    scaled = (matrix - low) / (high - low if high > low else 1.0)
    return (np.nan_to_num(np.clip(scaled, 0, 1)) * 255).astype(np.uint8)
