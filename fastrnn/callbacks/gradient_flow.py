"""How much of the gradient reaches each step of the sequences: does it vanish, does it explode."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.callbacks.callback import Callback, Logs
from fastrnn.callbacks.event_file import EventFile, grey

Array = NDArray[Any]


class GradientFlow(Callback):
    """Measures the norm of dL/dh of every recurrent layer at every time step while it learns.

    Norms are means over the sequences of the steps looked at, by their positions in the sequences.
    A line that falls towards early steps is a gradient that vanishes on its way back (Y. Bengio,
    P. Simard and P. Frasconi, IEEE Transactions on Neural Networks 5(2), 1994).

    Parameters
    ----------
    freq : int
        Look at every so many steps of learning; the others cost nothing.
    picture : str or path, optional
        PNG, PDF or SVG file, written after every epoch: a line for each layer.  Needs matplotlib:
        `pip install fastrnn[plot]`.
    log_dir : str or path, optional
        Folder of event files for TensorBoard: for each layer an image, epochs downwards and steps
        to the right, of the logarithms of the norms.  Needs tensorboard:
        `pip install fastrnn[tensorboard]`.

    Raises
    ------
    ValueError
        If `freq` is below 1; when training begins, if the model has no recurrent layer.
    ImportError
        When training begins, if a package is not installed.

    Attributes
    ----------
    norms : dict of lists of (T,) float64 arrays
        By the layer's name, the mean norms of each epoch.
    """

    def __init__(
        self,
        freq: int = 10,
        *,
        picture: str | os.PathLike[str] | None = None,
        log_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(freq, int) or freq < 1:
            raise ValueError(f"freq: expected an int of at least 1, got {freq!r}")
        self.freq = freq
        self.picture = None if picture is None else Path(picture)
        self.log_dir = log_dir
        self.norms: dict[str, list[Array]] = {}
        self._layers: dict[str, Any] = {}
        self._sums: dict[str, _Mean] = {}
        self._file: EventFile | None = None
        self._step = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Find the layers."""
        if self.picture is not None:
            _figure_class()
        if self.log_dir is not None:
            self._file = EventFile(self.log_dir)
        self._layers = dict(_recurrent_in(self.model))
        if not self._layers:
            raise ValueError("GradientFlow: the model has no recurrent layer")
        self.norms = {name: [] for name in self._layers}
        self._step = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the epoch's means."""
        self._sums = {name: _Mean() for name in self._layers}

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Ask the layers for norms if it is time."""
        is_due = self._step % self.freq == 0
        for layer in self._layers.values():
            layer.record_gradient_norms = is_due
            layer.gradient_norms = None

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Take the norms."""
        self._step += 1
        for name, layer in self._layers.items():
            if layer.gradient_norms is not None:
                self._sums[name].add(layer.gradient_norms)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Keep the epoch's means, and draw them."""
        for name, mean in self._sums.items():
            if mean.count.size:
                self.norms[name].append(mean.result())
        if self._file is not None:
            for name, lines in self.norms.items():
                if lines:
                    self._file.image(f"{name}/gradient_flow", grey(_logarithms(lines)), epoch)
            self._file.flush()
        if self.picture is not None:
            self._draw(self.picture, epoch)

    def on_train_end(self, logs: Logs = None) -> None:
        """Leave the layers as they were."""
        for layer in self._layers.values():
            layer.record_gradient_norms = False
        if self._file is not None:
            self._file.close()
            self._file = None

    def _draw(self, path: Path, epoch: int) -> None:
        figure = _figure_class()(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for name, lines in self.norms.items():
            if lines:
                axes.semilogy(np.arange(len(lines[-1])), lines[-1], label=name)
        axes.set(xlabel="time step", ylabel="|dL/dh|", title=f"Gradient flow, epoch {epoch + 1}")
        axes.legend()
        # Under another name first: whoever looks at it sees a whole picture.
        temporary = path.with_name(f".tmp-{path.name}")
        figure.savefig(temporary, format=path.suffix[1:] or "png")
        temporary.replace(path)


class _Mean:
    """Means over sequences for every time step; batches may have unequal numbers of steps."""

    def __init__(self) -> None:
        self.sum, self.count = np.zeros(0), np.zeros(0)

    def add(self, norms: Array) -> None:
        grown = max(0, len(norms) - len(self.sum))
        self.sum, self.count = (np.pad(a, (0, grown)) for a in (self.sum, self.count))
        self.sum[: len(norms)] += norms.sum(axis=1, dtype=np.float64)
        self.count[: len(norms)] += norms.shape[1]

    def result(self) -> Array:
        return self.sum / self.count


def _recurrent_in(layer: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield whatever within a layer can measure norms; a cell in the name of its layer."""
    for inner in layer.layers_inside:
        is_its_cell = getattr(layer, "cell", None) is inner and path
        name = path if is_its_cell else f"{path}/{inner.name}".lstrip("/")
        if hasattr(inner, "record_gradient_norms"):
            yield name, inner
        else:
            yield from _recurrent_in(inner, name)


def _logarithms(lines: list[Array]) -> Array:
    steps = max(map(len, lines))
    with np.errstate(divide="ignore"):
        return np.array([np.pad(np.log10(n), (0, steps - len(n)), constant_values=-np.inf)
                         for n in lines])  # fmt: skip


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "GradientFlow: matplotlib is not installed; pip install fastrnn[plot]"
        ) from error
    return Figure
