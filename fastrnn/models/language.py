"""Language models: which token comes next."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import functional
from fastrnn.initializers import INITIALIZERS
from fastrnn.layers import Dense, Dropout, Embedding, Recurrent
from fastrnn.tape import GradientTape, Tensor, Variable

Array = NDArray[Any]
State = list[tuple[Array, ...]]


class LanguageModel:
    """Embedding, recurrent layers and a softmax over the vocabulary.

    Dropout is applied between the layers and before the softmax (W. Zaremba et al., Recurrent
    neural network regularization, 2014).

    Parameters
    ----------
    vocabulary_size : int
        Tokens are integers in 0..vocabulary_size-1.
    cell : str
        A name out of `fastrnn.cells.CELLS`.
    units, layers, embedding : int
        Hidden units of each layer, number of layers, length of an embedding vector.
    dropout : float
        In [0, 1).
    seed : int
        Of initial weights and dropout.
    projection : int, optional
        Features of the output of "lstmp", which projects it; as many as units if not given.
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        cell: str = "lstm",
        units: int = 256,
        layers: int = 2,
        embedding: int = 64,
        dropout: float = 0.0,
        seed: int = 0,
        projection: int | None = None,
    ) -> None:
        self._config = {
            "vocabulary_size": vocabulary_size,
            "cell": cell,
            "units": units,
            "layers": layers,
            "embedding": embedding,
            "dropout": dropout,
            "seed": seed,
        }
        if projection is not None:
            self._config["projection"] = projection
        # Vectors of length near 1 reach the gates at once; Keras' tiny ones learn slowly here:
        # 3.9 against 3.1 bits a character after two epochs of a small text.
        self.embedding = Embedding(
            vocabulary_size, embedding, name="embedding",
            embeddings_initializer=_Start("standard_normal", _rng(seed, 0)),
        )  # fmt: skip
        self.recurrent = []
        features = embedding
        for i in range(layers):
            layer = _recurrent(cell, units, projection, f"rnn_{i}", _rng(seed, 1 + i))
            layer.build((None, None, features))
            self.recurrent.append(layer)
            features = layer.cell.output_size
        self.dropouts = [
            Dropout(dropout, name=f"dropout_{i}", seed=seed, stream=i) for i in range(layers)
        ]
        start = _Start("glorot_uniform", _rng(seed, 1 + layers))
        self.head = Dense(vocabulary_size, name="head", kernel_initializer=start)
        self.head.build((None, features))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return dict(self._config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LanguageModel:
        """Return a new model with these arguments."""
        return cls(**config)

    @property
    def variables(self) -> list[Variable]:
        """All weights."""
        return [v for layer in self._layers() for v in layer.variables]

    @property
    def weights(self) -> dict[str, Array]:
        """The arrays of all weights by name; they are the model's own, not copies."""
        return {variable.name: variable.value for variable in self.variables}

    def load_weights(self, weights: dict[str, Array]) -> None:
        """Overwrite all weights.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a shape does not fit.
        """
        variables = {variable.name: variable for variable in self.variables}
        if weights.keys() != variables.keys():
            odd = sorted(weights.keys() ^ variables.keys())
            raise ValueError(f"weights: missing or unknown: {', '.join(odd)}")
        for name, value in weights.items():
            variables[name].assign(value)

    def zero_state(self, batch: int) -> State:
        """Return the state before a text: for each layer, zeros (batch, H) for each state."""
        return [
            tuple(np.zeros((batch, size), np.float32) for size in layer.cell.sizes)
            for layer in self.recurrent
        ]

    def train_step(
        self, tokens: Array, targets: Array, state: State, optimizer: Any, step: int
    ) -> tuple[float, float, State]:
        """Learn from one window.

        Parameters
        ----------
        tokens, targets : (T, B) integers
            The window, and the token that follows each.
        state : list of tuples of (B, H) arrays
            Where the window before ended; gradients do not flow back into it.
        optimizer : Optimizer
        step : int
            Number of the step: dropout depends on it and on the seed alone.

        Returns
        -------
        loss : float
            Mean cross entropy in nats a token.
        gradient_norm : float
            Before clipping.
        state : like `state`
        """
        for layer in self.dropouts:
            layer.step = step
        variables = self.variables
        with GradientTape() as tape:
            loss, state = self._loss(tokens, targets, state, training=True)
        gradients = tape.gradient(loss, variables)
        norm = optimizer.update(
            self.weights,
            {v.name: np.asarray(g) for v, g in zip(variables, gradients, strict=True)},
            rows=self._used_rows(tokens),
        )
        return float(loss), norm, state

    def evaluate(self, tokens: Array, targets: Array, state: State) -> tuple[float, State]:
        """Return the mean cross entropy of one window, in nats a token, and the state after it."""
        loss, state = self._loss(tokens, targets, state, training=False)
        return float(loss), state

    def next_logits(self, tokens: Array, state: State) -> tuple[Array, State]:
        """Return the logits (B, vocabulary) of what follows tokens (B,), and the state."""
        hidden, state = self._hidden(np.asarray(tokens)[None], state, training=False)
        return self.head(hidden.value[:, -1]).value, state

    def _used_rows(self, tokens: Array) -> dict[str, Array] | None:
        """Return the rows of a large embedding that a window uses: the others need no update."""
        vocabulary = self.embedding.input_dim
        if vocabulary <= tokens.size:
            return None
        return {self.embedding.embeddings.name: functional.used_rows(tokens, vocabulary)}

    def _layers(self) -> list[Any]:
        return [self.embedding, *self.recurrent, self.head]

    def _hidden(self, tokens: Array, state: State, training: bool) -> tuple[Tensor, State]:
        """Return the last layer's outputs (B, T, units), in time-major memory."""
        x = self.embedding(tokens.swapaxes(0, 1))
        after: State = []
        for layer, dropout, before in zip(self.recurrent, self.dropouts, state, strict=True):
            x, *final = layer(x, initial_state=before, training=training)
            x = dropout(x, training=training)
            after.append(tuple(tensor.value for tensor in final))
        return x, after

    def _loss(
        self, tokens: Array, targets: Array, state: State, training: bool
    ) -> tuple[Tensor, State]:
        hidden, state = self._hidden(tokens, state, training)
        loss = self.head.cross_entropy(hidden, targets.swapaxes(0, 1), training=training)
        return loss, state


def _rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


class _Start:
    """What weights start as, drawn one after the other from the generator of their layer."""

    def __init__(self, name: str, rng: np.random.Generator) -> None:
        self._draw = INITIALIZERS[name]
        self._rng = rng

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        return self._draw(shape, self._rng, np.dtype(dtype))


def _recurrent(
    cell: str, units: int, projection: int | None, name: str, rng: np.random.Generator
) -> Recurrent:
    return Recurrent(
        cell, units, name=name, projection_size=projection,
        kernel_initializer=_Start("glorot_uniform", rng),
        recurrent_initializer=_Start("orthogonal", rng),
        unit_forget_bias=cell in ("lstm", "lstmp", "ln_lstm"),
        return_sequences=True, return_state=True,
    )  # fmt: skip
