"""Recurrent networks as estimators of scikit-learn.

>>> import numpy as np
>>> rng = np.random.default_rng(0)
>>> X = [rng.normal(size=(length, 2)) for length in (3, 7, 5, 4)]
>>> y = ["up", "down", "up", "down"]
>>> classifier = RNNClassifier("gru", units=4, epochs=2, random_state=0).fit(X, y)
>>> classifier.predict_proba(X).shape
(4, 2)
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
    from sklearn.utils import (
        assert_all_finite,
        check_array,
        check_consistent_length,
        check_random_state,
        column_or_1d,
    )
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "fastrnn.sklearn needs scikit-learn 1.6 or newer: install it with "
        'pip install "fastrnn[sklearn]"'
    ) from error

from fastrnn import layers, losses, optimizers
from fastrnn.callbacks import EarlyStopping
from fastrnn.data import LengthBatches
from fastrnn.initializers import GlorotUniform, Orthogonal, RandomUniform
from fastrnn.models import Sequential

Array = NDArray[Any]
Sequences = list[Array]

__all__ = ["RNNClassifier", "RNNRegressor"]

_CELLS: dict[str, Any] = {"gru": layers.GRU, "lstm": layers.LSTM, "rnn": layers.SimpleRNN}


class _RNN(BaseEstimator):  # type: ignore[misc]
    """What both estimators have in common."""

    def __init__(
        self,
        cell: str = "lstm",
        units: int = 32,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        vocabulary_size: int | None = None,
        embedding_size: int = 32,
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 0.01,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.cell = cell
        self.units = units
        self.layers = layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.vocabulary_size = vocabulary_size
        self.embedding_size = embedding_size
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _check_parameters(self) -> None:
        counts = ["units", "layers", "embedding_size", "epochs", "batch_size"]
        counts += [n for n in ("vocabulary_size", "patience") if getattr(self, n) is not None]
        for name in counts:
            value = getattr(self, name)
            if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name}: expected an int of at least 1, got {value!r}")
        if self.cell not in _CELLS:
            raise ValueError(f"cell: expected one of {', '.join(_CELLS)}, got {self.cell!r}")
        for name in ("dropout", "validation_fraction"):
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
                raise ValueError(f"{name}: expected a share in [0, 1), got {value!r}")

    def _fit(self, X: Sequences, y: Array, sample_weight: Any, outputs: int, loss: Any) -> None:
        """Learn targets y (n, ...) of sequences."""
        self._outputs = outputs
        random = check_random_state(self.random_state)
        seed: Callable[[], int] = lambda: int(random.randint(np.iinfo(np.int32).max))  # noqa: E731
        self.model_ = model = self._made(seed)
        model.shuffle_seed = seed()
        model.compile(optimizer=optimizers.Adam(self.learning_rate), loss=loss)
        train, held = np.arange(len(X)), np.arange(0)
        callbacks = []
        if self.patience is not None:
            order = random.permutation(len(X))
            count = max(1, round(self.validation_fraction * len(X)))
            if count >= len(X):
                raise ValueError(
                    f"validation_fraction: expected some of the {len(X)} sequences to be left for "
                    f"training, got {self.validation_fraction}"
                )
            train, held = order[count:], order[:count]
            callbacks.append(EarlyStopping(patience=self.patience, restore_best_weights=True))

        def batches(rows: Array, **options: Any) -> LengthBatches:
            weight = None if sample_weight is None else sample_weight[rows]
            return LengthBatches(
                [X[i] for i in rows], y[rows], weight, batch_size=self.batch_size, **options
            )  # fmt: skip

        history = model.fit(
            batches(train, seed=seed()), epochs=self.epochs, verbose=self.verbose,
            validation_data=batches(held, shuffle=False) if len(held) else None,
            callbacks=callbacks,
        )  # fmt: skip
        self.loss_curve_ = [float(value) for value in history.history["loss"]]

    def _made(self, seed: Callable[[], int]) -> Any:
        """Return a new model."""
        parts: list[Any] = [layers.Input((None, self._features))]
        if self.vocabulary_size is not None:
            # Index 0 is padding.
            table = layers.Embedding(
                self.vocabulary_size + 1, self.embedding_size, RandomUniform(seed=seed()),
                mask_zero=True,
            )  # fmt: skip
            parts = [layers.Input((None,), dtype="int32"), table]
        for number in range(self.layers):
            run = _CELLS[self.cell](
                self.units, kernel_initializer=GlorotUniform(seed=seed()),
                recurrent_initializer=Orthogonal(seed=seed()),
                return_sequences=number < self.layers - 1,
            )  # fmt: skip
            parts.append(layers.Bidirectional(run) if self.bidirectional else run)
            if self.dropout:
                parts.append(layers.Dropout(self.dropout, seed=seed()))
        parts.append(layers.Dense(self._outputs, kernel_initializer=GlorotUniform(seed=seed())))
        return Sequential(parts)

    def _predict(self, X: Any) -> Array:
        """Return the model's outputs (n, outputs), float64."""
        check_is_fitted(self)
        sequences = self._sequences(X, reset=False)
        batches = LengthBatches(sequences, batch_size=max(self.batch_size, 64), shuffle=False)
        results = self.model_.predict(batches, verbose=0)
        return np.asarray(results, np.float64)[np.argsort(batches.order)]

    def _sequences(self, X: Any, *, reset: bool) -> Sequences:
        """Return X as sequences: (T_i, I) float32, or (T_i,) int32 from 1 on."""
        if self.vocabulary_size is not None:
            return self._ids(X, reset)
        arrays = _ragged(X)
        if arrays is None:
            X = validate_data(self, X, reset=reset, dtype=np.float64)
            arrays, width = list(X[..., None]), X.shape[1]
        else:
            arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
            width = arrays[0].shape[-1]
            for i, array in enumerate(arrays):
                if array.ndim != 2 or array.shape[1] != width or not array.size:
                    raise ValueError(f"X: expected (T, {width}), got {array.shape} at {i}")
                if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
                    raise ValueError(f"X: expected finite numbers, got others at {i}")
        features = arrays[0].shape[1]
        if reset:
            self._features, self.n_features_in_ = features, width
        elif features != self._features:
            raise ValueError(
                f"X: expected sequences of {self._features} features, got {features} features"
            )
        return [array.astype(np.float32) for array in arrays]

    def _ids(self, X: Any, reset: bool) -> Sequences:
        arrays = [np.asarray(sequence) for sequence in X]
        if not arrays:
            raise ValueError("X: expected at least one sequence, got none")
        size = self.vocabulary_size
        for i, array in enumerate(arrays):
            if array.ndim != 1 or not array.size or array.dtype.kind not in "iu":
                raise ValueError(
                    f"X: expected sequences of integers, got {array.dtype} of shape {array.shape} "
                    f"at {i}"
                )
            if array.min() < 0 or array.max() >= size:
                raise ValueError(
                    f"X: expected integers in 0..{size - 1}, got {array.min()}..{array.max()} at "  # type: ignore[operator]
                    f"{i}"
                )
        if reset:
            self._features = self.n_features_in_ = 1
        return [array.astype(np.int32) + np.int32(1) for array in arrays]

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "model_" in state:
            # Weights only: a model has closures, which are not pickled.
            state["model_"] = state["model_"].get_weights()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            weights = state["model_"]
            self.model_ = self._made(lambda: 0)
            self.model_.set_weights(weights)


class RNNClassifier(ClassifierMixin, _RNN):  # type: ignore[misc]
    """A recurrent network that tells classes of sequences apart.

    Takes as X, of n sequences:

    - a list of arrays (T_i, I) of numbers, each with its own length; (T_i,) counts as (T_i, 1);
    - an array (n, T, I);
    - an array (n, T), of which each row is a sequence of T steps of one number;
    - with `vocabulary_size`, lists of T_i integers each, or an integer array (n, T).

    Numbers are not scaled.  Batches are made of sequences of similar lengths, and padding is not
    computed with.

    Parameters
    ----------
    cell : str
        "lstm", "gru" or "rnn".
    units : int
        Hidden units of each layer, and of each direction.
    layers : int
        Recurrent layers on top of each other; the last state of the last one is looked at.
    bidirectional : bool
        Whether each layer runs both ways.
    dropout : float
        Share of the outputs of each layer that is 0 while training.
    vocabulary_size : int, optional
        X has integers in 0..vocabulary_size-1, which get vectors that are learned.
    embedding_size : int
        Length of these vectors.
    epochs : int
        How often all sequences are looked at, at most.
    batch_size : int
        Sequences of a step of the Adam optimizer.
    learning_rate : float
    validation_fraction : float
        Share of the sequences that is set aside for early stopping.
    patience : int, optional
        Stop when the loss of these has not become less for so many epochs, and go back to the best
        one.  There is no early stopping, and nothing is set aside, if it is not given.
    random_state : int, RandomState or None
        The same int gives the same predictions.
    verbose : int
        0, 1 for a progress bar, 2 for a line for each epoch.

    Attributes
    ----------
    model_ : fastrnn.models.Sequential
    loss_curve_ : list of float
        Loss of each epoch.
    n_features_in_ : int
        T for an array (n, T) and I otherwise.
    classes_ : (K,) array
        Labels, sorted.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> RNNClassifier:
        """Learn from n sequences.

        Parameters
        ----------
        X : n sequences
            In one of the forms that the class names.
        y : (n,) labels
        sample_weight : (n,) array, optional

        Raises
        ------
        ValueError
            If parameters, X or y are not as described.
        """
        self._check_parameters()
        if y is None:
            raise ValueError("RNNClassifier requires y to be passed, but the target y is None")
        sequences = self._sequences(X, reset=True)
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_consistent_length(sequences, labels)
        check_classification_targets(labels)
        self.classes_, indices = np.unique(labels, return_inverse=True)
        weight = _weight(sample_weight, sequences)
        loss = losses.SparseCategoricalCrossentropy(from_logits=True)
        self._fit(sequences, indices.astype(np.int64), weight, len(self.classes_), loss)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities (n, K) of the classes of n sequences."""
        a = self._predict(X)
        e = np.exp(a - a.max(axis=1, keepdims=True))
        probabilities: Array = e / e.sum(axis=1, keepdims=True)
        return probabilities

    def predict(self, X: Any) -> Array:
        """Return the most probable labels (n,) of n sequences."""
        outputs = self._predict(X)
        labels: Array = self.classes_[outputs.argmax(axis=1)]
        return labels


class RNNRegressor(RegressorMixin, MultiOutputMixin, _RNN):  # type: ignore[misc]
    """A recurrent network that predicts numbers from sequences.

    X, parameters and attributes are those of `RNNClassifier`, but for `classes_`.  It learns the
    targets with mean 0 and variance 1.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> RNNRegressor:
        """Learn from n sequences.

        Parameters
        ----------
        X : n sequences
            In one of the forms that the class names.
        y : (n,) or (n, M) array
        sample_weight : (n,) array, optional

        Raises
        ------
        ValueError
            If parameters, X or y are not as described.
        """
        self._check_parameters()
        if y is None:
            raise ValueError("RNNRegressor requires y to be passed, but the target y is None")
        sequences = self._sequences(X, reset=True)
        targets = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        check_consistent_length(sequences, targets)
        self._is_flat = targets.ndim == 1
        targets = targets.reshape(len(targets), -1)
        self._mean, deviation = targets.mean(axis=0), targets.std(axis=0)
        self._scale = np.where(deviation > 0, deviation, 1.0)
        scaled = ((targets - self._mean) / self._scale).astype(np.float32)
        weight = _weight(sample_weight, sequences)
        self._fit(sequences, scaled, weight, scaled.shape[1], losses.MeanSquaredError())
        return self

    def predict(self, X: Any) -> Array:
        """Return the numbers (n,) or (n, M) of n sequences."""
        outputs: Array = self._predict(X) * self._scale + self._mean
        return outputs[:, 0] if self._is_flat else outputs


def _ragged(X: Any) -> Sequences | None:
    """Return X as arrays of their own, None if it is one with two axes, or none at all."""
    if isinstance(X, np.ndarray) and X.ndim == 3:
        return list(X)
    is_list = isinstance(X, list | tuple) or (
        isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype == object
    )
    if not is_list or not len(X) or not all(hasattr(each, "__len__") for each in X):
        return None
    arrays = [np.asarray(each) for each in X]
    is_table = {array.ndim for array in arrays} == {1} and len({len(a) for a in arrays}) == 1
    return None if is_table else arrays


def _weight(sample_weight: Any, sequences: Sequences) -> Array | None:
    if sample_weight is None:
        return None
    weight: Array = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if not weight.any():
        raise ValueError("sample_weight: expected at least one non-zero number, got zeros")
    if weight.shape != (len(sequences),) or weight.min() < 0:
        raise ValueError(
            f"sample_weight: expected ({len(sequences)},) numbers of at least 0, "
            f"got shape {weight.shape}"
        )
    return weight.astype(np.float32)
