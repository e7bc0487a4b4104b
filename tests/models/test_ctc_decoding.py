"""CTC decoding against all alignments, counted one by one, and against the loss."""

import itertools

import numpy as np
import pytest

from fastrnn import functional
from fastrnn.models.decoding import ctc_beam_search, ctc_greedy


def probabilities(z, blank):
    """The probability of every labelling of z (T, K)."""
    y = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    total = {}
    for path in itertools.product(range(z.shape[1]), repeat=len(z)):
        labels = tuple(k for k, _ in itertools.groupby(path) if k != blank)
        total[labels] = total.get(labels, 0.0) + np.prod(y[np.arange(len(z)), list(path)])
    return total


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("T", [0, 1, 2, 5])
def test_wide_beams_find_every_labelling_with_its_probability(rng, T, blank):
    z = 1.5 * rng.standard_normal((5, 3, 3))
    found = ctc_beam_search(z, [T] * 3, beams=400, blank=blank, best=400)
    for b in range(3):
        wanted = probabilities(z[:T, b], blank)
        assert len(found[b]) == len(wanted)
        assert sum(np.exp(one.log_probability) for one in found[b]) == pytest.approx(1)
        for one in found[b]:
            assert np.exp(one.log_probability) == pytest.approx(wanted[tuple(one.labels)])
        log_p = [one.log_probability for one in found[b]]
        assert log_p == sorted(log_p, reverse=True)


def test_narrow_beams_find_likely_labels_and_no_more_than_their_probability(rng):
    z = 3 * rng.standard_normal((14, 2, 5))
    for beams in (1, 4, 300):
        for b, (one, *_) in enumerate(ctc_beam_search(z, beams=beams)):
            loss, _ = functional.ctc(z[:, b : b + 1], [one.labels])
            assert one.log_probability <= -loss[0] + 1e-9
            if beams == 300:
                assert one.log_probability == pytest.approx(-loss[0], abs=0.01)


def test_beams_see_what_the_best_alignment_hides():
    # Blanks are the best alignment; all that lead to label 1 together are more likely.
    z = np.log(np.array([[[0.6, 0.4]], [[0.6, 0.4]]]))
    (greedy,) = ctc_greedy(z)
    assert greedy.labels == []
    assert greedy.log_probability == pytest.approx(np.log(0.36))
    ((beam,),) = ctc_beam_search(z, beams=4)
    assert beam.labels == [1]
    assert beam.log_probability == pytest.approx(np.log(0.64))


def test_greedy_merges_repeats_then_drops_blanks(rng):
    paths = np.array([[0, 1, 1, 0, 1, 2, 2], [2, 2, 2, 1, 0, 0, 1]])
    z = 5 * np.eye(3)[paths.T]
    assert [one.labels for one in ctc_greedy(z)] == [[1, 1, 2], [2, 1, 1]]
    assert [one.labels for one in ctc_greedy(z, [4, 0])] == [[1], []]
    assert [one.labels for one in ctc_greedy(z, blank=2)] == [[0, 1, 0, 1], [1, 0, 1]]


def test_numbers_beyond_the_lengths_are_not_looked_at(rng):
    z = rng.standard_normal((6, 2, 4))
    lengths = np.array([4, 6])
    for decode in (ctc_greedy, lambda *given: ctc_beam_search(*given, beams=5)):
        desired = decode(z, lengths)
        spoilt = z.copy()
        spoilt[4:, 0] = np.nan
        assert decode(spoilt, lengths) == desired


def test_impossible_classes_are_never_chosen(rng):
    z = rng.standard_normal((5, 1, 4))
    z[..., 2] = -np.inf
    (found,) = ctc_beam_search(z, beams=50, best=50)
    assert not any(2 in one.labels for one in found)
    assert all(np.isfinite(one.log_probability) for one in found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logits": np.zeros((3, 4))}, "logits: expected shape"),
        ({"logits": np.zeros((3, 2, 0))}, "logits: expected shape"),
        ({"logits": np.full((3, 2, 4), np.nan)}, "logits: expected finite"),
        ({"logits": np.full((3, 2, 4), -np.inf)}, "logits: expected finite"),
        ({"input_lengths": [3]}, "input_lengths"),
        ({"input_lengths": [3, 4]}, "input_lengths"),
        ({"input_lengths": [3.0, 3.0]}, "input_lengths"),
        ({"blank": 4}, "blank"),
        ({"beams": 0}, "beams"),
        ({"best": 3}, "best"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    arguments = {"logits": np.zeros((3, 2, 4)), "beams": 2} | changes
    with pytest.raises(ValueError, match=message):
        ctc_beam_search(**arguments)
    if not {"beams", "best"} & set(changes):
        del arguments["beams"]
        with pytest.raises(ValueError, match=message):
            ctc_greedy(**arguments)
