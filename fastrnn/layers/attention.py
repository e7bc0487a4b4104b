"""Attention of queries to values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import functional, ops
from fastrnn.layers.arguments import as_floats
from fastrnn.layers.checks import flag, share
from fastrnn.layers.layer import Layer
from fastrnn.random import next_seed
from fastrnn.tape import Tensor

Array = NDArray[Any]

# Taken off the score of what is masked, in the place of infinity: a row in which all is masked
# has equal weights, as in Keras.
_FAR = 1e9


class Attention(Layer):
    """Dot-product attention: values weighted by how well their keys fit a query.

    M.-T. Luong et al., Effective approaches to attention-based neural machine translation, EMNLP
    2015.

    Parameters
    ----------
    use_scale : bool
        Multiply the scores by a weight.
    score_mode : str
        "dot" for q . k, "concat" for sum(tanh(q + k)) times a weight.
    dropout : float
        Share of the attention weights that is 0 while training.
    seed : int, optional
        Of dropout.
    """

    supports_masking = True

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if score_mode not in ("dot", "concat"):
            raise ValueError(f'score_mode: expected "dot" or "concat", got {score_mode!r}')
        self.use_scale = flag("use_scale", use_scale)
        self.score_mode = score_mode
        self.dropout = share("dropout", dropout)
        self.seed = seed
        self._seed = next_seed() if seed is None else seed
        self._draws = 0
        self.scale: Any = None
        self.concat_score_weight: Any = None

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        _check_shapes(self.name, input_shape)
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(
                name="concat_score_weight", shape=(), initializer="ones"
            )

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Attend.

        Parameters
        ----------
        inputs : list of arrays
            The query (B, Tq, D), the value (B, Tv, D) and optionally the key (B, Tv, D), which
            is otherwise the value.
        mask : list of bools or None, optional
            Of the query (B, Tq), whose masked steps give 0, and of the value (B, Tv), whose
            masked steps are not attended to.
        training : bool
        return_attention_scores : bool
        use_causal_mask : bool
            No step attends to later ones.

        Returns
        -------
        Tensor
            (B, Tq, D); with the weights (B, Tq, Tv) in a tuple if `return_attention_scores`.
        """
        _check_shapes(self.name, [each.shape for each in inputs])
        query, value, *rest = (as_floats(each, self.dtype) for each in inputs)
        key = rest[0] if rest else value
        masks = self._masks(mask)
        scores = self.scores(query, key)
        is_seen = self._seen(scores.shape, masks[1], use_causal_mask)
        if is_seen is not None:
            far = np.where(is_seen, 0, _FAR).astype(scores.dtype)
            scores = ops.subtract(scores, far)
        weights = ops.softmax(scores, axis=-1)
        if training and self.dropout:
            key_of_mask = (self._seed, self._draws)
            self._draws += 1
            ones = np.ones(weights.shape, weights.dtype)
            weights = ops.multiply(weights, functional.dropout(ones, self.dropout, key_of_mask)[0])
        result = ops.matmul(weights, value)
        if masks[0] is not None:
            result = ops.multiply(result, masks[0][..., None].astype(result.dtype))
        return (result, weights) if return_attention_scores else result

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Return how well each key (B, Tv, D) fits each query (B, Tq, D), (B, Tq, Tv)."""
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.swapaxes(key, 1, 2))
            return scores if self.scale is None else ops.multiply(scores, self.scale)
        both = ops.add(ops.expand_dims(query, 2), ops.expand_dims(key, 1))
        if self.scale is not None:
            both = ops.multiply(both, self.scale)
        return ops.multiply(ops.sum(ops.tanh(both), axis=-1), self.concat_score_weight)

    def _masks(self, mask: Any) -> list[Any]:
        """Return the masks of the query and of the value."""
        if mask is None:
            return [None, None]
        if not isinstance(mask, list | tuple) or len(mask) not in (2, 3):
            raise ValueError(
                f"{self.name}: expected a list of masks of the query and of the value, "
                f"got {type(mask).__name__}"
            )
        return list(mask[:2])

    def _seen(self, shape: tuple[int, ...], value_mask: Any, is_causal: bool) -> Array | None:
        """Return which values each query may attend to, of scores of this shape."""
        is_seen = None if value_mask is None else value_mask[:, None, :]
        if is_causal:
            earlier = np.tri(shape[1], shape[2]) > 0
            is_seen = earlier if is_seen is None else is_seen & earlier
        return is_seen

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask of the query."""
        return previous_mask[0] if isinstance(previous_mask, list | tuple) else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the query's shape with the value's features."""
        return (*input_shape[0][:-1], input_shape[1][-1])


class AdditiveAttention(Attention):
    """Attention with the scores sum(scale * tanh(q + k)).

    D. Bahdanau, K. Cho and Y. Bengio, Neural machine translation by jointly learning to align and
    translate, ICLR 2015.

    Parameters
    ----------
    use_scale : bool
        Multiply each feature's term of a score by a weight.
    dropout : float
        Share of the attention weights that is 0 while training.
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **options: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **options)

    def build(self, input_shape: Any) -> None:
        """Make the weight for inputs (B, T, D)."""
        _check_shapes(self.name, input_shape)
        if self.use_scale:
            features = input_shape[0][-1]
            self.scale = self.add_weight(
                name="scale", shape=(features,), initializer="glorot_uniform"
            )

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Return how well each key (B, Tv, D) fits each query (B, Tq, D), (B, Tq, Tv)."""
        terms = ops.tanh(ops.add(ops.expand_dims(query, 2), ops.expand_dims(key, 1)))
        if self.scale is not None:
            terms = ops.multiply(terms, self.scale)
        return ops.sum(terms, axis=-1)


def _check_shapes(name: str, shapes: Any) -> None:
    """Check that there are a query, a value and perhaps a key, which fit together."""
    is_list = isinstance(shapes, list | tuple) and len(shapes) in (2, 3)
    if not is_list or not all(isinstance(s, list | tuple) and len(s) == 3 for s in shapes):
        raise ValueError(
            f"{name}: expected [query, value] or [query, value, key] of shape (B, T, D), "
            f"got shape {shapes}"
        )
    query, value, key = shapes[0], shapes[1], shapes[-1]
    for one, other in ((query[2], key[2]), (value[1], key[1])):
        if None not in (one, other) and one != other:
            raise ValueError(
                f"{name}: expected query (B, Tq, D), value (B, Tv, ...) and key (B, Tv, D), "
                f"got shapes {shapes}"
            )
