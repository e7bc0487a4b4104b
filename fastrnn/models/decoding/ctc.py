"""Labels from what a network trained with `functional.ctc` says at every step."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn.models.decoding.sampling import log_softmax
from fastrnn.models.decoding.steps import positive

Array = NDArray[Any]


class Labelling(NamedTuple):
    """Labels of a sequence, and the logarithm of their probability."""

    labels: list[int]
    log_probability: float


def ctc_greedy(
    logits: ArrayLike, input_lengths: ArrayLike | None = None, *, blank: int = 0
) -> list[Labelling]:
    """Return the labels of each sequence's most likely alignment.

    Parameters
    ----------
    logits : (T, B, K) array
        Logits or log-probabilities.
    input_lengths : (B,) integers in 0..T, optional
        Steps of each sequence; T if not given.
    blank : int
        The class that stands for no label.

    Returns
    -------
    list of B Labelling
        With the log-probability of the one alignment.

    Raises
    ------
    ValueError
        If an argument is not as described.
    """
    log_p, lengths = _steps(logits, input_lengths, blank)
    found = []
    for b, T in enumerate(lengths):
        path = log_p[:T, b].argmax(axis=1)
        is_new = np.ones(T, bool)
        is_new[1:] = path[1:] != path[:-1]
        labels = path[is_new & (path != blank)]
        found.append(Labelling(labels.tolist(), float(log_p[np.arange(T), b, path].sum())))
    return found


def ctc_beam_search(
    logits: ArrayLike,
    input_lengths: ArrayLike | None = None,
    *,
    beams: int,
    blank: int = 0,
    best: int = 1,
) -> list[list[Labelling]]:
    """Return each sequence's most likely labels, the probabilities of alignments being added up.

    Parameters
    ----------
    logits : (T, B, K) array
        Logits or log-probabilities.
    input_lengths : (B,) integers in 0..T, optional
        Steps of each sequence; T if not given.
    beams : int
        Prefixes of a labelling that are followed.
    blank : int
        The class that stands for no label.
    best : int
        Labellings to return, at most `beams`; fewer if fewer are possible.

    Returns
    -------
    list of B lists of Labelling
        The most likely first.  Log-probabilities are those of all alignments that were followed:
        with enough beams minus the loss of `functional.ctc`, otherwise less.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Source
    ------
    A. Graves, Supervised Sequence Labelling with Recurrent Neural Networks, 2012, section 7.5.3;
    the form of A. Hannun et al., First-pass large vocabulary continuous speech recognition using
    bi-directional recurrent DNNs, 2014, without a language model.

    Examples
    --------
    Two steps that say blank with probability 0.6: most likely alone, not against all others.

    >>> logits = np.log([[[0.6, 0.4]], [[0.6, 0.4]]])
    >>> ctc_greedy(logits)[0].labels, ctc_beam_search(logits, beams=4)[0][0].labels
    ([], [1])
    """
    beams, best = positive("beams", beams), positive("best", best)
    if best > beams:
        raise ValueError(f"best: expected at most the {beams} beams, got {best}")
    log_p, lengths = _steps(logits, input_lengths, blank)
    return [_search(log_p[:T, b], beams, blank)[:best] for b, T in enumerate(lengths)]


def _search(log_p: Array, beams: int, blank: int) -> list[Labelling]:
    """Follow prefixes through the steps of log_p (T, K).

    A prefix is a node: its parent and its last label.  Its alignments are kept apart by whether
    they end with a blank, since only after a blank a repeated label is a new one.
    """
    parents, lasts = [-1], [-1]
    children: dict[tuple[int, int], int] = {}
    nodes = np.zeros(1, np.int64)
    after_blank, after_label = np.zeros(1), np.full(1, -np.inf)
    K = log_p.shape[1]
    for step in log_p:
        last = np.array([lasts[node] for node in nodes])
        whole = np.logaddexp(after_blank, after_label)
        has_label = last >= 0
        stay_blank = whole + step[blank]
        stay_label = np.where(has_label, after_label + step[last], -np.inf)
        longer = whole[:, None] + step
        longer[has_label, last[has_label]] = after_blank[has_label] + step[last[has_label]]
        longer[:, blank] = -np.inf
        # A prefix that is followed already may also be reached from its parent.
        place = {int(node): i for i, node in enumerate(nodes)}
        for i, node in enumerate(nodes):
            parent = place.get(parents[node])
            if parent is not None:
                stay_label[i] = np.logaddexp(stay_label[i], longer[parent, last[i]])
                longer[parent, last[i]] = -np.inf
        candidates = np.concatenate([np.logaddexp(stay_blank, stay_label), longer.reshape(-1)])
        chosen = np.argsort(-candidates, kind="stable")[:beams]
        chosen = chosen[candidates[chosen] > -np.inf]
        W = len(nodes)
        new_nodes, new_blank, new_label = [], [], []
        for c in chosen:
            if c < W:
                new_nodes.append(int(nodes[c]))
                new_blank.append(stay_blank[c])
                new_label.append(stay_label[c])
                continue
            key = (int(nodes[(c - W) // K]), int((c - W) % K))
            if key not in children:
                children[key] = len(parents)
                parents.append(key[0])
                lasts.append(key[1])
            new_nodes.append(children[key])
            new_blank.append(-np.inf)
            new_label.append(candidates[c])
        nodes = np.array(new_nodes, np.int64)
        after_blank, after_label = np.array(new_blank), np.array(new_label)
    whole = np.logaddexp(after_blank, after_label)
    order = np.argsort(-whole, kind="stable")
    return [Labelling(_labels(int(nodes[i]), parents, lasts), float(whole[i])) for i in order]


def _labels(node: int, parents: list[int], lasts: list[int]) -> list[int]:
    labels = []
    while node > 0:
        labels.append(lasts[node])
        node = parents[node]
    return labels[::-1]


def _steps(
    logits: ArrayLike, input_lengths: ArrayLike | None, blank: int
) -> tuple[Array, list[int]]:
    """Return log-probabilities (T, B, K) and the steps of each sequence."""
    z = np.asarray(logits, np.float64)
    if z.ndim != 3 or z.shape[2] == 0:
        raise ValueError(f"logits: expected shape (T, B, K), got {z.shape}")
    T, B, K = z.shape
    if isinstance(blank, bool) or not isinstance(blank, int | np.integer) or not 0 <= blank < K:
        raise ValueError(f"blank: expected an int in 0..{K - 1}, got {blank!r}")
    lengths = np.full(B, T) if input_lengths is None else np.asarray(input_lengths)
    wanted = f"({B},) integers in 0..{T}"
    if lengths.shape != (B,) or lengths.dtype.kind not in "iu":
        raise ValueError(f"input_lengths: expected {wanted}, got {lengths.shape} {lengths.dtype}")
    if ((lengths < 0) | (lengths > T)).any():
        raise ValueError(f"input_lengths: expected {wanted}, got {lengths.tolist()}")
    used = np.arange(T)[:, None] < lengths
    if np.isnan(z[used]).any() or (z[used] == np.inf).any() or (z[used].max(-1) == -np.inf).any():
        raise ValueError("logits: expected finite numbers, or -inf for some classes of a step")
    return log_softmax(np.where(used[:, :, None], z, 0.0)), lengths.tolist()
