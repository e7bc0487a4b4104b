"""Generation: greedy and drawn texts, their ends, their probabilities, and their seeds."""

import numpy as np
import pytest
from models.chains import Chain

from fastrnn.models.decoding import generate


@pytest.fixture
def chain(rng):
    return Chain(rng, 4)


def greedy(chain, first, length, stops=()):
    text, before, last = [], 0, first
    while len(text) < length and not (text and text[-1] in stops):
        token = int(chain.logits[before, last].argmax())
        before, last = last, token
        text.append(token)
    return text


@pytest.mark.parametrize("stop", [None, 2, [1, 3]])
def test_temperature_zero_takes_the_most_likely_tokens(chain, stop):
    stops = [] if stop is None else np.atleast_1d(stop).tolist()
    first = np.arange(4)
    found = generate(
        chain.step, first, chain.start(4), length=6, temperature=0, top_p=0.1, stop=stop
    )
    for n in range(4):
        text = greedy(chain, n, 6, stops)
        assert found.lengths[n] == len(text)
        assert found.tokens[n].tolist() == text + [text[-1]] * (6 - len(text))
        assert found.log_probabilities[n] == pytest.approx(chain.log_probability(n, text))


def test_rows_that_have_ended_are_not_computed(chain):
    found = generate(chain.step, np.arange(4), chain.start(4), length=50, stop=[0, 1], seed=3)
    assert chain.calls[0] == 4
    assert sorted(chain.calls, reverse=True) == chain.calls
    # A text of n tokens takes n steps, the first of which reads what it starts with.
    assert sum(chain.calls) == found.lengths.sum()
    assert len(chain.calls) == found.lengths.max() < 50


def test_prompts_are_read_token_by_token(chain):
    prompt = np.array([[1, 2, 3], [3, 0, 1]])
    found = generate(chain.step, prompt, chain.start(2), length=3, temperature=0)
    state = chain.start(2)
    for column in prompt.T[:-1]:
        _, state = chain.step(column, state)
    again = generate(chain.step, prompt[:, -1], state, length=3, temperature=0)
    np.testing.assert_array_equal(found.tokens, again.tokens)


def test_drawn_texts_have_their_probabilities(rng):
    chain, N = Chain(rng, 3, scale=1.0), 30_000
    found = generate(chain.step, np.ones(N, int), chain.start(N), length=3, stop=0, seed=5)
    for text in chain.texts(3, [0]):
        p = np.exp(chain.log_probability(1, text))
        padded = [*text] + [text[-1]] * (3 - len(text))
        is_text = (found.tokens == padded).all(axis=1) & (found.lengths == len(text))
        assert is_text.mean() == pytest.approx(p, abs=0.015)


def test_a_row_depends_on_the_seed_and_on_itself_alone(chain):
    options = {"length": 12, "temperature": 1.3, "top_k": 3, "top_p": 0.95, "stop": 2}
    first = np.array([1, 3, 0, 1])
    texts = generate(chain.step, first, chain.start(4), seed=7, **options)
    again = generate(chain.step, first, chain.start(4), seed=7, **options)
    for ours, desired in zip(again, texts, strict=True):
        np.testing.assert_array_equal(ours, desired)
    # Other texts beside it, which end at other times, change nothing.
    fewer = generate(chain.step, [1, 0], chain.start(2), seed=7, **options)
    np.testing.assert_array_equal(fewer.tokens[0], texts.tokens[0])
    other = generate(chain.step, first, chain.start(4), seed=8, **options)
    assert (other.tokens != texts.tokens).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 0}, "length"),
        ({"length": 2.0}, "length"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"stop": -1}, "stop"),
        ({"stop": [1.5]}, "stop"),
        ({"tokens": [1.0]}, "tokens"),
        ({"tokens": []}, "tokens"),
        ({"tokens": 3}, "tokens"),
        ({"tokens": [[[1]]]}, "tokens"),
    ],
)
def test_bad_arguments_are_named(chain, changes, message):
    arguments = {"tokens": [1], "length": 3} | changes
    with pytest.raises(ValueError, match=message):
        generate(chain.step, state=chain.start(1), **arguments)


def test_bad_steps_are_named(chain):
    def wrong_rows(tokens, state):
        return np.zeros((3, 4)), state

    def not_a_number(tokens, state):
        return np.full((len(tokens), 4), np.nan), state

    for step, message in ((wrong_rows, "expected 2 rows, got 3"), (not_a_number, "NaN")):
        with pytest.raises(ValueError, match=message):
            generate(step, [0, 1], (), length=2)
    with pytest.raises(ValueError, match="state: expected arrays"):
        generate(chain_with_scalar_state, np.arange(4), 1.0, length=9, stop=0, temperature=0)


def chain_with_scalar_state(tokens, state):
    """Counts down to 0, so that rows end one after the other."""
    return np.eye(4)[np.maximum(tokens - 1, 0)], state
