"""A small language model with a state, and the probabilities of all its texts."""

import itertools

import numpy as np


class Chain:
    """Logits depend on the last two tokens: the state holds the one before, in several forms."""

    def __init__(self, rng, V, scale=2.0):
        self.V = V
        self.logits = scale * rng.standard_normal((V, V, V))
        self.calls = []

    def start(self, N):
        before = np.zeros(N, np.int64)
        return {"last": before, "again": [(before[:, None], None)]}

    def step(self, tokens, state):
        before = state["last"]
        np.testing.assert_array_equal(before, state["again"][0][0][:, 0])
        self.calls.append(len(tokens))
        last = tokens.astype(np.int64)
        after = {"last": last, "again": [(last[:, None].copy(), None)]}
        return self.logits[before, tokens], after

    def log_probability(self, first, text):
        """Logarithm of the probability of a text after the token `first`."""
        total, before, last = 0.0, 0, first
        for token in text:
            z = self.logits[before, last]
            total += z[token] - np.log(np.exp(z).sum())
            before, last = last, token
        return total

    def texts(self, length, stops):
        """All texts that end with a stop token, or after `length` tokens."""
        for n in range(1, length + 1):
            for text in itertools.product(range(self.V), repeat=n):
                is_open = not any(token in stops for token in text[:-1])
                if is_open and (text[-1] in stops or n == length):
                    yield text
