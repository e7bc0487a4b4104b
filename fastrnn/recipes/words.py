"""The next word of a text, with the models of Zaremba et al."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn.callbacks import Callback, LearningRateScheduler
from fastrnn.callbacks.callback import Logs
from fastrnn.initializers import RandomUniform
from fastrnn.layers import LSTM, Dense, Dropout, Embedding
from fastrnn.losses import SparseCategoricalCrossentropy
from fastrnn.models import Sequential
from fastrnn.optimizers import SGD
from fastrnn.recipes.recipe import Recipe, RecipeError, Report, Score, decode, read_bytes

Array = NDArray[Any]

END, UNKNOWN = "<eos>", "<unk>"
NAMES = ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")
_STREAMS = 20


class Size(NamedTuple):
    """One of the models of the paper, and how it learns.

    units          of both layers, and length of a word's vector
    window         steps that gradients flow back through
    dropout        of connections that are not recurrent
    spread         weights start uniform in [-spread, spread]
    epochs         in all
    constant       epochs with a learning rate of 1
    decay          of the learning rate in each epoch after those
    clip           largest norm of a gradient of the loss, summed over the window
    """

    units: int
    window: int
    dropout: float
    spread: float
    epochs: int
    constant: int
    decay: float
    clip: float


#: Sections 4.1 of the paper: the non-regularized LSTM, and both regularized ones.
SIZES = {
    "small": Size(200, 20, 0.0, 0.1, 13, 4, 1 / 2, 5.0),
    "medium": Size(650, 35, 0.5, 0.05, 39, 6, 1 / 1.2, 5.0),
    "large": Size(1500, 35, 0.65, 0.04, 55, 14, 1 / 1.15, 10.0),
}
#: Perplexities on the validation and the test part of the Penn Treebank, table 1 of the paper.
PUBLISHED = {"small": (120.7, 114.5), "medium": (86.2, 82.7), "large": (82.2, 78.4)}


class Words(Recipe):
    """Predict the next word with two LSTM layers, whose states go on from window to window.

    W. Zaremba, I. Sutskever and O. Vinyals, Recurrent neural network regularization, 2014.

    Parameters
    ----------
    paths : str or path, or sequence of them
        A folder with the Penn Treebank's `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt`, or
        three text files: to train on, to validate, to test.  Words have blanks between them, and
        the end of a line is a word.
    size : "small", "medium" or "large"
        The paper's model with its schedule.
    limit : int
        Words of the vocabulary; rarer ones are read as `<unk>`.

    Raises
    ------
    RecipeError
        If a file is missing or too short, or an option is unknown.
    """

    loss_label = "cross entropy of a word in nats"

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path],
        *,
        size: str = "small",
        limit: int = 10_000,
    ) -> None:
        super().__init__()
        if size not in SIZES:
            raise RecipeError(f"size: expected {', '.join(SIZES)}, got {size!r}")
        self.sources = find([paths] if isinstance(paths, str | Path) else list(paths))
        self.size_name = size
        self.setting = SIZES[size]
        self.epochs = self.setting.epochs
        self.patience = self.epochs  # the schedule goes on to its end
        texts = [words_of(path) for path in self.sources]
        self.vocabulary = vocabulary(texts[0], limit)
        unknown = self.vocabulary[UNKNOWN]
        self.parts = [
            np.array([self.vocabulary.get(word, unknown) for word in words], np.int32)
            for words in texts
        ]
        for path, ids in zip(self.sources, self.parts, strict=True):
            fewest = _STREAMS * self.setting.window + 1
            if len(ids) < fewest:
                raise RecipeError(f"{path}: expected at least {fewest} words, got {len(ids)}")
        self.model = self._model()

    def _model(self) -> Sequential:
        H, window, dropout, spread = self.setting[:4]
        V = len(self.vocabulary)

        def start() -> Any:
            return RandomUniform(-spread, spread)

        def layer() -> Any:
            return LSTM(
                H, return_sequences=True, stateful=True, kernel_initializer=start(),
                recurrent_initializer=start(), bias_initializer=start(), unit_forget_bias=False,
            )  # fmt: skip

        model = Sequential([Embedding(V, H, embeddings_initializer=start())])
        for _ in range(2):
            if dropout:
                model.add(Dropout(dropout))
            model.add(layer())
        if dropout:
            model.add(Dropout(dropout))
        model.add(Dense(V, kernel_initializer=start(), bias_initializer=start()))
        model(np.zeros((1, 1), np.int32), training=False)
        model.reset_states()
        # The paper's loss is the sum over a window, this one the mean: the step is that much
        # longer and the limit of the norm that much smaller, which is the same.
        model.compile(
            SGD(self.rate(0), global_clipnorm=self.setting.clip / window),
            SparseCategoricalCrossentropy(from_logits=True),
        )
        return model

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, from 0, for the mean over a window."""
        falls = max(0, epoch + 1 - self.setting.constant)
        return float(self.setting.decay**falls) * self.setting.window

    def facts(self) -> list[tuple[str, str]]:
        """Return what there is to say before learning."""
        counts = [len(part) for part in self.parts]
        return [
            ("data", "{:,} words to train on, {:,} to validate, {:,} to test".format(*counts)),
            ("model", f"{self.size_name}: vocabulary {len(self.vocabulary):,}, {self.size()}"),
        ]

    def preprocessing(self) -> dict[str, Any]:
        """Return the words in the order of their indices."""
        return {"words": list(self.vocabulary)}

    def batches(self) -> tuple[Any, Any]:
        """Return windows of the training and of the validation part, side by side in streams."""
        return Streams(self.parts[0], self.setting.window), Streams(
            self.parts[1], self.setting.window
        )

    def own_callbacks(self, epochs: int, minutes: float | None) -> list[Callback]:
        """Return the schedule, and what lets each pass start from zeros."""
        return [LearningRateScheduler(self.rate), _Fresh()]

    def evaluate(self) -> Report:
        """Return perplexities of the model, and of the frequencies of single words."""
        scores = []
        counts = np.bincount(self.parts[0], minlength=len(self.vocabulary)) + 1.0
        log_p = np.log(counts / counts.sum())
        for name, ids in zip(("validation", "test"), self.parts[1:], strict=True):
            what = f"{name}, {len(ids):,} words"
            scores.append(Score("perplexity", self._perplexity(ids), "this model", what))
            value = float(np.exp(-log_p[ids[1:]].mean()))
            scores.append(Score("perplexity", value, "frequencies of words", what))
        published = "published for the Penn Treebank: {} and {} (Zaremba et al. 2014)".format(
            *PUBLISHED[self.size_name]
        )
        return Report(scores, [published], [self.curves()])

    def _perplexity(self, ids: Array) -> float:
        """Return the perplexity of one stream from its first word to its last."""
        total = 0.0
        self.model.reset_states()
        for start in range(0, len(ids) - 1, 200):
            targets = ids[start + 1 : start + 201]
            logits = self.model.predict_on_batch(ids[None, start : start + len(targets)])[0]
            logits = logits.astype(np.float64)
            highest = logits.max(axis=-1)
            norm = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=-1))
            total += float((norm - logits[np.arange(len(targets)), targets]).sum())
        self.model.reset_states()
        return float(np.exp(total / (len(ids) - 1)))


class Streams:
    """Batches of windows that go on from one to the next, of a text cut into streams.

    Parameters
    ----------
    ids : (N,) integers
    window : int
        Steps of a batch; what is left over is not used.
    """

    def __init__(self, ids: Array, window: int) -> None:
        length = (len(ids) - 1) // _STREAMS
        self.x = ids[: length * _STREAMS].reshape(_STREAMS, length)
        self.y = ids[1 : length * _STREAMS + 1].reshape(_STREAMS, length)
        self.window = window

    def __len__(self) -> int:
        return self.x.shape[1] // self.window

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        for end in range(self.window, self.x.shape[1] + 1, self.window):
            window = slice(end - self.window, end)
            yield self.x[:, window], self.y[:, window]


class _Fresh(Callback):
    """Lets every pass over a text start from states of zeros."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.model.reset_states()

    def on_test_begin(self, logs: Logs = None) -> None:
        self.model.reset_states()


def find(paths: list[str | Path]) -> list[Path]:
    """Return the three files.

    Raises
    ------
    RecipeError
        If there are not three, or no folder with them.
    """
    found = [Path(path) for path in paths]
    if len(found) == 1 and found[0].is_dir():
        found = [found[0] / name for name in NAMES]
    if len(found) != 3:
        raise RecipeError(
            f"{', '.join(map(str, paths))}: expected a folder with {', '.join(NAMES)}, or three "
            "text files"
        )
    return found


def words_of(path: str | Path) -> list[str]:
    """Return the words of a file, with `<eos>` for the end of a line."""
    lines = decode(path, read_bytes(path)).splitlines()
    return [word for line in lines for word in [*line.split(), END]]


def vocabulary(words: list[str], limit: int) -> dict[str, int]:
    """Return the indices of the commonest words; `<unk>` is always one of them."""
    counts = Counter(words)
    counts[UNKNOWN] += 0
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    kept = ranked[:limit]
    if UNKNOWN not in kept:
        kept[-1] = UNKNOWN
    return {word: index for index, word in enumerate(kept)}
