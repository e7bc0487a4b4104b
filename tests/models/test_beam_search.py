"""Beam search against all texts of a small vocabulary, counted one by one."""

import numpy as np
import pytest
from models.chains import Chain

from fastrnn.models.decoding import Memory, beam_search, generate, length_penalty

LENGTH = 4


def ranked(chain, first, stops, alpha, length=LENGTH):
    """All texts with their scores, the best first."""
    scored = []
    for text in chain.texts(length, stops):
        log_p = chain.log_probability(first, text)
        scored.append((log_p / ((5 + len(text)) / 6) ** alpha, log_p, text))
    return sorted(scored, reverse=True)


@pytest.mark.parametrize("alpha", [0, 0.6, 2.0])
@pytest.mark.parametrize("stop", [None, 1, [0, 2]])
def test_a_beam_of_full_width_finds_the_best_texts(rng, stop, alpha):
    chain = Chain(rng, 3)
    stops = [] if stop is None else np.atleast_1d(stop).tolist()
    first = np.array([2, 0, 1])
    found = beam_search(
        chain.step, first, chain.start(3), beams=81, length=LENGTH, stop=stop, alpha=alpha, best=5
    )
    for n in range(3):
        for place, (score, log_p, text) in enumerate(ranked(chain, first[n], stops, alpha)[:5]):
            assert found.lengths[n, place] == len(text)
            padded = [*text] + [text[-1]] * (LENGTH - len(text))
            assert found.tokens[n, place].tolist() == padded
            assert found.scores[n, place] == pytest.approx(score, rel=1e-12)
            assert found.log_probabilities[n, place] == pytest.approx(log_p, rel=1e-12)


def test_texts_that_do_not_exist_are_marked(rng):
    chain = Chain(rng, 2)
    found = beam_search(chain.step, [0], chain.start(1), beams=7, length=2, stop=1, best=7)
    # Of the texts of up to two tokens: 1, 0 1, 0 0.
    np.testing.assert_array_equal(found.scores[0] > -np.inf, [True] * 3 + [False] * 4)
    np.testing.assert_array_equal(found.lengths[0, 3:], 0)
    assert sorted(found.lengths[0, :3].tolist()) == [1, 2, 2]


def test_one_beam_is_greedy(rng):
    chain = Chain(rng, 5)
    first = np.arange(5)
    found = beam_search(chain.step, first, chain.start(5), beams=1, length=6, alpha=0)
    greedy = generate(chain.step, first, chain.start(5), length=6, temperature=0)
    np.testing.assert_array_equal(found.tokens[:, 0], greedy.tokens)
    np.testing.assert_allclose(found.scores[:, 0], greedy.log_probabilities, rtol=1e-12)


def test_a_wide_beam_beats_greedy(rng):
    better = 0
    for _ in range(10):
        chain = Chain(rng, 4, scale=1.0)
        narrow, wide = (
            beam_search(chain.step, [0], chain.start(1), beams=beams, length=LENGTH).scores[0, 0]
            for beams in (1, 64)
        )
        assert narrow <= wide + 1e-12
        better += narrow < wide - 1e-9
    assert better >= 3


def test_rows_do_not_depend_on_their_neighbours(rng):
    chain = Chain(rng, 4)
    options = {"beams": 3, "length": 7, "stop": 0, "best": 2}
    together = beam_search(chain.step, np.arange(4), chain.start(4), **options)
    for n in range(4):
        alone = beam_search(chain.step, [n], chain.start(1), **options)
        for ours, desired in zip(alone, together, strict=True):
            np.testing.assert_array_equal(ours[0], desired[n])


def test_the_search_ends_when_nothing_better_can_come(rng):
    chain = Chain(rng, 3)
    chain.logits[..., 2] += 20  # the stop token is nearly certain
    beam_search(chain.step, [0], chain.start(1), beams=4, length=1000, stop=2)
    assert len(chain.calls) < 5


def test_prompts_are_read_once_for_all_beams(rng):
    chain = Chain(rng, 3)
    found = beam_search(chain.step, [[1, 0, 2]], chain.start(1), beams=4, length=3)
    assert chain.calls[:3] == [1, 1, 1]
    assert set(chain.calls[3:]) == {4}
    state = chain.start(1)
    state = {"last": np.zeros(1, int), "again": [(np.zeros((1, 1), int), None)]}
    again = beam_search(chain.step, [2], state, beams=4, length=3)
    np.testing.assert_array_equal(found.tokens, again.tokens)


def test_memory_is_repeated_once_and_stays(rng):
    chain = Chain(rng, 4)
    biases = rng.standard_normal((2, 4))
    seen = []

    def step(tokens, state):
        """An encoder-decoder: every row has a memory of its own."""
        inner, memory = state
        seen.append(id(memory.value))
        logits, inner = chain.step(tokens, inner)
        return logits + memory.value, (inner, memory)

    state = (chain.start(2), Memory(biases))
    found = beam_search(step, [1, 1], state, beams=64, length=3, alpha=0)
    assert len(set(seen[1:])) == 1
    for n in range(2):
        own = Chain(rng, 4)
        own.logits = chain.logits + biases[n]
        assert found.scores[n, 0] == pytest.approx(ranked(own, 1, [], 0, length=3)[0][0])
    # Memory is dropped with its row where rows end at different times.
    greedy = generate(step, [1, 1], state, length=3, temperature=0, stop=[0, 1])
    assert greedy.tokens.shape == (2, 3)


def test_impossible_tokens_are_never_chosen(rng):
    chain = Chain(rng, 4)
    chain.logits[..., 1] = -np.inf
    found = beam_search(chain.step, [0], chain.start(1), beams=10, length=3, best=10)
    assert not (found.tokens == 1).any()


def test_the_penalty_is_that_of_the_paper():
    assert length_penalty(1, 0.7) == 1
    assert length_penalty(7, 1.0) == 2
    np.testing.assert_allclose(length_penalty(np.array([1, 13]), 0.5), [1, 3**0.5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beams": 0}, "beams"),
        ({"beams": 2.0}, "beams"),
        ({"length": 0}, "length"),
        ({"best": 0}, "best"),
        ({"best": 3}, "best: expected at most the 2 beams, got 3"),
        ({"alpha": -1}, "alpha"),
        ({"alpha": np.nan}, "alpha"),
        ({"stop": 4}, r"stop: expected tokens in 0\.\.3"),
        ({"stop": "a"}, "stop"),
        ({"tokens": [0.5]}, "tokens"),
        ({"state": {"last": 0, "again": [(0, None)]}}, "state"),
    ],
)
def test_bad_arguments_are_named(rng, changes, message):
    chain = Chain(rng, 4)

    def step(tokens, state):
        return np.zeros((len(tokens), 4)), state

    arguments = {"tokens": [1], "state": chain.start(1), "beams": 2, "length": 3} | changes
    with pytest.raises(ValueError, match=message):
        beam_search(step, **arguments)
