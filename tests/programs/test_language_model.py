"""A word-level language model in plain NumPy, and the same numbers from the engine.

`RNN` is the older program.  Its `bptt` sends the error of every output back through the step
itself and at most `bptt_truncate` steps before it: each output has a window of its own, and an
error never flows further than `bptt_truncate` steps, wherever in the sentence it starts.

`functional.rnn(..., truncate=k)` means something else, what training on chunks of k steps does:
no gradient passes the borders between the chunks, so that an error just after a border flows
nowhere and one at the end of a chunk through k - 1 steps.  It costs one run backwards, where
windows cost `bptt_truncate` + 1 of them.

The program's numbers come out of the engine by giving it the windows: one sequence for each
output, all in one batch, which starts from the state before the window and ends at the output.
The start is given as an array, so nothing flows into it.
"""

import numpy as np
import pytest
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, assert_close

from fastrnn import functional
from fastrnn.functional import Embedded

WORDS, HIDDEN, LENGTH = 11, 7, 9


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


class RNN:
    def __init__(self, word_dim, hidden_dim=100, bptt_truncate=4):
        self.word_dim = word_dim
        self.hidden_dim = hidden_dim
        self.bptt_truncate = bptt_truncate
        rng = np.random.default_rng(4)
        of_words, of_hidden = np.sqrt(1.0 / word_dim), np.sqrt(1.0 / hidden_dim)
        self.U = rng.uniform(-of_words, of_words, (hidden_dim, word_dim))
        self.V = rng.uniform(-of_hidden, of_hidden, (word_dim, hidden_dim))
        self.W = rng.uniform(-of_hidden, of_hidden, (hidden_dim, hidden_dim))

    def forward_propagation(self, x):
        T = len(x)
        # One state more, s[-1], for what comes before the first word: 0.
        s = np.zeros((T + 1, self.hidden_dim))
        o = np.zeros((T, self.word_dim))
        for t in np.arange(T):
            s[t] = np.tanh(self.U[:, x[t]] + self.W.dot(s[t - 1]))
            o[t] = softmax(self.V.dot(s[t]))
        return [o, s]

    def calculate_total_loss(self, x, y):
        L = 0
        for i in np.arange(len(y)):
            o, s = self.forward_propagation(x[i])
            correct_word_predictions = o[np.arange(len(y[i])), y[i]]
            L += -1 * np.sum(np.log(correct_word_predictions))
        return L

    def bptt(self, x, y):
        T = len(y)
        o, s = self.forward_propagation(x)
        dLdU = np.zeros(self.U.shape)
        dLdV = np.zeros(self.V.shape)
        dLdW = np.zeros(self.W.shape)
        delta_o = o
        delta_o[np.arange(len(y)), y] -= 1.0
        for t in np.arange(T)[::-1]:
            dLdV += np.outer(delta_o[t], s[t].T)
            delta_t = self.V.T.dot(delta_o[t]) * (1 - (s[t] ** 2))
            for bptt_step in np.arange(max(0, t - self.bptt_truncate), t + 1)[::-1]:
                dLdW += np.outer(delta_t, s[bptt_step - 1])
                dLdU[:, x[bptt_step]] += delta_t
                delta_t = self.W.T.dot(delta_t) * (1 - s[bptt_step - 1] ** 2)
        return [dLdU, dLdV, dLdW]

    def numpy_sdg_step(self, x, y, learning_rate):
        dLdU, dLdV, dLdW = self.bptt(x, y)
        self.U -= learning_rate * dLdU
        self.V -= learning_rate * dLdV
        self.W -= learning_rate * dLdW


class Engine(RNN):
    """The same model; its weights stand transposed in the engine's functions."""

    def forward_propagation(self, x):
        states, _, _ = self.run(x)
        logits, _ = functional.linear(states, self.V.T)
        s = np.vstack([states, np.zeros((1, self.hidden_dim))])
        return [np.array([softmax(z) for z in logits]), s]

    def run(self, x, truncate=0):
        """Run over one sentence; states (T, H), its words' table is U.T."""
        words = Embedded(np.asarray(x)[:, None], np.ascontiguousarray(self.U.T))
        y, _, backward = functional.rnn(
            "rnn", words, np.eye(self.hidden_dim), self.W.T, truncate=truncate
        )
        return y[:, 0], backward, words

    def calculate_total_loss(self, x, y):
        return sum(self.loss(self.run(a)[0], b)[0] for a, b in zip(x, y, strict=True))

    def loss(self, states, y):
        """The loss of a sentence, a sum and no mean, and its backward."""
        mean, backward = functional.cross_entropy(states, self.V.T, None, y)
        return mean * len(y), lambda: backward(float(len(y)))

    def bptt(self, x, y):
        """Windows as sequences of unequal lengths."""
        x, T = np.asarray(x), len(y)
        s = self.forward_propagation(x)[1]
        begin = np.maximum(0, np.arange(T) - self.bptt_truncate)
        lengths = np.arange(T) + 1 - begin
        steps = begin + np.arange(lengths.max())[:, None]
        table = np.ascontiguousarray(self.U.T)
        _, (h,), backward = functional.rnn(
            "rnn", Embedded(x[np.minimum(steps, T - 1)], table), np.eye(self.hidden_dim),
            self.W.T, state=(s[begin - 1],), lengths=lengths,
        )  # fmt: skip
        assert_close(h, s[:T], FLOAT64_OUTPUT)
        d = self.loss(h, y)[1]()
        through_time = backward(None, (d.x,))
        return [through_time.x.T, d.W.T, through_time.R.T]

    def bptt_of_chunks(self, x, y, length):
        """What `truncate` means."""
        states, backward, _ = self.run(x, truncate=length)
        d = self.loss(states, y)[1]()
        through_time = backward(d.x[:, None])
        return [through_time.x.T, d.W.T, through_time.R.T]


@pytest.fixture
def sentence(rng):
    x = rng.integers(0, WORDS, LENGTH)
    x[5] = x[2]  # a word that comes twice
    return x, rng.integers(0, WORDS, LENGTH)


def both(bptt_truncate=4):
    return RNN(WORDS, HIDDEN, bptt_truncate), Engine(WORDS, HIDDEN, bptt_truncate)


def assert_same(gradients, expected):
    for name, one, other in zip("UVW", gradients, expected, strict=True):
        assert_close(one, other, FLOAT64_GRADIENT, name)


def test_outputs_states_and_loss(rng, sentence):
    program, engine = both()
    x, y = sentence
    for found, expected in zip(
        engine.forward_propagation(x), program.forward_propagation(x), strict=True
    ):
        assert_close(found, expected, FLOAT64_OUTPUT)
    sentences = [x, x[:4], x[2:3]], [y, y[:4], y[2:3]]
    expected = program.calculate_total_loss(*sentences)
    assert_close(np.float64(engine.calculate_total_loss(*sentences)), expected, FLOAT64_OUTPUT)
    # A model that knows nothing loses about log(words) a word.
    assert 0.5 < expected / (14 * np.log(WORDS)) < 1.5


@pytest.mark.parametrize("bptt_truncate", [0, 1, 4, LENGTH - 1, 100])
def test_gradients_and_steps(sentence, bptt_truncate):
    program, engine = both(bptt_truncate)
    assert_same(engine.bptt(*sentence), program.bptt(*sentence))
    x, y = sentence
    at_start = engine.calculate_total_loss([x], [y])
    for model in (program, engine):
        for _ in range(3):
            model.numpy_sdg_step(x, y, learning_rate=0.1)
    for name in "UVW":
        assert_close(getattr(engine, name), getattr(program, name), FLOAT64_GRADIENT, name)
    assert engine.calculate_total_loss([x], [y]) < 0.9 * at_start


def test_one_hot_words_have_the_gradient_of_U_as_that_of_the_input_weights(sentence):
    program, engine = both(100)
    x, y = sentence
    states, _, backward = functional.rnn(
        "rnn", np.eye(WORDS)[x][:, None], program.U.T, program.W.T
    )  # fmt: skip
    d = engine.loss(states[:, 0], y)[1]()
    through_time = backward(d.x[:, None])
    assert_same([through_time.W.T, d.W.T, through_time.R.T], program.bptt(x, y))


def test_chunks_are_windows_only_where_both_are_whole_sentences_or_single_words(sentence):
    for bptt_truncate, length, is_same in (
        (0, 1, True), (LENGTH - 1, LENGTH, True), (3, 4, False), (4, 4, False),
    ):  # fmt: skip
        program, engine = both(bptt_truncate)
        expected = program.bptt(*sentence)
        found = engine.bptt_of_chunks(*sentence, length)
        if is_same:
            assert_same(found, expected)
        else:
            assert_close(found[1], expected[1], FLOAT64_GRADIENT)  # V sees its own word only
            for at in (0, 2):
                assert np.abs(found[at] - expected[at]).max() > 1e-3 * np.abs(expected[at]).max()


def test_the_gradient_of_V_is_the_error_times_the_state(sentence):
    """dE_3/dV = (y_hat_3 - y_3) outer s_3: only the step itself counts."""
    program, engine = both()
    x, y = sentence
    o, s = program.forward_propagation(x)
    _, backward = functional.cross_entropy(s[3:4], program.V.T, None, y[3:4])
    assert_close(backward().W.T, np.outer(o[3] - np.eye(WORDS)[y[3]], s[3]), FLOAT64_GRADIENT)


def test_weights_side_by_side_are_a_product_of_state_and_input_on_top_of_each_other(rng):
    """s_t = g(w_s [s_{t-1}, x_t]) with w_s = [w_ss, w_sx] of (100, 10100).

    The note gives [s_{t-1}, x_t] the shape (10100, 100): it has 10100 numbers for each sentence,
    so the 100 can only be that many sentences side by side.
    """
    H, I, sentences = 100, 10000, 2
    w_s = rng.uniform(-0.01, 0.01, (H, H + I))
    s, x = rng.normal(size=(H, sentences)), rng.normal(size=(I, sentences))
    w_ss, w_sx = w_s[:, :H], w_s[:, H:]
    stacked = np.concatenate([s, x])
    assert stacked.shape == (10100, sentences)
    y, _, _ = functional.rnn("rnn", x.T[None], w_sx.T, w_ss.T, state=(s.T,), training=False)
    assert_close(y[0].T, np.tanh(w_s @ stacked), FLOAT64_OUTPUT)
