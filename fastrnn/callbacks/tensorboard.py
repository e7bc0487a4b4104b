"""What TensorBoard shows of a training run."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.callbacks import projector
from fastrnn.callbacks.callback import Callback, Logs
from fastrnn.callbacks.event_file import EventFile, grey

Array = NDArray[Any]


class TensorBoard(Callback):
    """Writes event files for TensorBoard: `tensorboard --logdir LOG_DIR` shows them.

    Training goes to the folder "train" within `log_dir`, validation to "validation".  Needs the
    package tensorboard: `pip install fastrnn[tensorboard]`.

    Parameters
    ----------
    log_dir : str or path
        Is made if absent.
    histogram_freq : int
        Epochs between histograms of the weights; 0 for none.
    write_graph : bool
        Write the layers and what connects them.
    write_images : bool
        With the histograms, write the weights as pictures.
    write_steps_per_second : bool
        Write the speed.
    update_freq : "epoch", "batch" or int
        Write losses and metrics after every epoch only, or also every so many steps.
    profile_batch : 0
        There is no profiler to turn on.
    embeddings_freq : int
        Epochs between tables of embeddings for the projector; the newest replaces the one
        before.  0 for none.
    embeddings_metadata : str or mapping of str, optional
        File of labels, within `log_dir`: of all embedding layers, or by their names.
    write_grads : bool
        With the histograms, write those of the gradients of the epoch's last step.
    batch_size : int, optional
        Older programs give it; nothing depends on it.
    embeddings_layer_names : sequence of str, optional
        The embedding layers to write; all if not given.
    embeddings_data : array of ids, optional
        Write what the embedding layers return for these, a row for each, instead of their tables.

    Raises
    ------
    ImportError
        When training begins, if tensorboard is not installed.
    ValueError
        If an argument is none of these.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | Mapping[str, str] | None = None,
        *,
        write_grads: bool = False,
        batch_size: int | None = None,
        embeddings_layer_names: Sequence[str] | None = None,
        embeddings_data: Any = None,
    ) -> None:
        super().__init__()
        if profile_batch:
            raise ValueError(f"profile_batch: expected 0, got {profile_batch!r}")
        frequency = {"epoch": 0, "batch": 1}.get(str(update_freq), update_freq)
        if not isinstance(frequency, int) or frequency < 0:
            raise ValueError(
                f"update_freq: expected 'epoch', 'batch' or an int, got {update_freq!r}"
            )
        self.log_dir = Path(log_dir)
        self.histogram_freq = _frequency("histogram_freq", histogram_freq)
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = frequency
        self.embeddings_freq = _frequency("embeddings_freq", embeddings_freq)
        self.embeddings_metadata = embeddings_metadata
        self.write_grads = write_grads
        self.batch_size = batch_size
        self.embeddings_layer_names = embeddings_layer_names
        self.embeddings_data = embeddings_data
        self._files: dict[str, EventFile] = {}
        self._step = 0
        self._is_training = False

    def on_train_begin(self, logs: Logs = None) -> None:
        """Open the file."""
        self._is_training = True
        self._step = 0
        self._time, self._first = time.perf_counter(), 0
        self._of("train")
        if self.write_grads and self.histogram_freq:
            self.model.keep_gradients = True

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Write losses and metrics if it is time."""
        self._step += 1
        if self.update_freq and self._step % self.update_freq == 0:
            for name, value in (logs or {}).items():
                self._of("train").scalar(f"batch_{name}", float(np.mean(value)), self._step)
            self._write_speed("batch_steps_per_second", self._step)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start measuring the epoch's speed."""
        self._time, self._first = time.perf_counter(), self._step

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write losses and metrics, and what else it is time for."""
        for name, value in (logs or {}).items():
            part, is_validation = name.removeprefix("val_"), name.startswith("val_")
            file = self._of("validation" if is_validation else "train")
            file.scalar(f"epoch_{part}", float(np.mean(value)), epoch)
        if not self.update_freq:
            self._write_speed("epoch_steps_per_second", epoch)
        if self.write_graph and self.model.built:
            self._of("train").graph(self.model.connections())
            self.write_graph = False
        if self.histogram_freq and (epoch + 1) % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and (epoch + 1) % self.embeddings_freq == 0:
            self._write_embeddings()
        for file in self._files.values():
            file.flush()

    def on_test_end(self, logs: Logs = None) -> None:
        """Write losses and metrics over the optimizer's steps."""
        step = int(self.model.optimizer.iterations) if self.model.optimizer is not None else 0
        for name, value in (logs or {}).items():
            tag = f"evaluation_{name}_vs_iterations"
            self._of("validation").scalar(tag, float(np.mean(value)), step)
        if not self._is_training:
            self._close()

    def on_train_end(self, logs: Logs = None) -> None:
        """Close the files."""
        self._is_training = False
        self._close()
        if self.write_grads and self.histogram_freq:
            self.model.keep_gradients = False

    def _of(self, part: str) -> EventFile:
        if part not in self._files:
            self._files[part] = EventFile(self.log_dir / part)
        return self._files[part]

    def _close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _write_speed(self, name: str, step: int) -> None:
        if self.write_steps_per_second:
            seconds = max(time.perf_counter() - self._time, 1e-9)
            self._of("train").scalar(name, (self._step - self._first) / seconds, step)

    def _write_weights(self, epoch: int) -> None:
        file = self._of("train")
        for layer in self.model.layers:
            for variable in layer.weights:
                name = f"{layer.name}/{variable.name.split('/')[-1]}"
                file.histogram(f"{name}/histogram", variable.value, epoch)
                gradient = self.model.gradients.get(id(variable))
                if self.write_grads and gradient is not None:
                    file.histogram(f"{name}/gradient", np.asarray(gradient), epoch)
                if self.write_images and 1 <= variable.value.ndim <= 2:
                    file.image(f"{name}/image", grey(variable.value), epoch)

    def _write_embeddings(self) -> None:
        layers = projector.embedding_layers(self.model, self.embeddings_layer_names)
        labels = projector.labels_of(layers, self.embeddings_metadata)
        for layer in layers:
            rows = layer.embeddings.value
            if self.embeddings_data is not None:
                outputs = np.asarray(layer(np.asarray(self.embeddings_data)))
                rows = outputs.reshape(len(outputs), -1)
            projector.write_table(self.log_dir / f"{layer.name}.tsv", rows)
        tables = {layer.name: f"{layer.name}.tsv" for layer in layers}
        projector.write_config(self.log_dir, tables, labels)


def _frequency(name: str, value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{name}: expected an int of at least 0, got {value!r}")
    return int(value)
