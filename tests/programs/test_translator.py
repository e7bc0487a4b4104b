"""A translator: one network reads, another writes until it says that it is done."""

import itertools

import numpy as np

from fastrnn import layers, losses, optimizers, random
from fastrnn.models import Model
from fastrnn.preprocessing.sequence import pad_sequences

PAD, START, END = 0, 1, 2
LETTERS = "abcd"
TOKENS = 3 + len(LETTERS)
LONGEST, UNITS = 4, 64


def numbers(word):
    return [3 + LETTERS.index(letter) for letter in word]


def texts(words):
    """Words to read, what the writer is told (START first), and what it is to say (END last)."""
    source = [numbers(word) for word in words]
    target = [numbers(word[::-1]) for word in words]
    return (
        pad_sequences(source, LONGEST, padding="post"),
        pad_sequences([[START, *t] for t in target], LONGEST + 1, padding="post"),
        pad_sequences([[*t, END] for t in target], LONGEST + 1, padding="post"),
    )


def networks():
    """The model to train, and of the same layers the one that reads and the one that writes."""
    words, said = layers.Input((None,), dtype="int32"), layers.Input((None,), dtype="int32")
    embed_source = layers.Embedding(TOKENS, 16, mask_zero=True)
    embed_target = layers.Embedding(TOKENS, 16, mask_zero=True)
    _, *thought = layers.LSTM(UNITS, return_state=True)(embed_source(words))
    writer = layers.LSTM(UNITS, return_sequences=True, return_state=True)
    next_token = layers.Dense(TOKENS)
    outputs, *_ = writer(embed_target(said), initial_state=thought)
    before = [layers.Input((UNITS,)), layers.Input((UNITS,))]
    step, *after = writer(embed_target(said), initial_state=before)
    return (
        Model([words, said], next_token(outputs)),
        Model(words, thought),
        Model([said, *before], [next_token(step), *after]),
    )


def translate(encoder, decoder, word, limit=20):
    """The likeliest token each time, up to END; None if it does not come."""
    states = encoder(np.array([numbers(word)]))
    token, said = START, []
    for _ in range(limit):
        logits, *states = decoder([np.array([[token]]), *states])
        token = int(np.asarray(logits)[0, -1].argmax())
        if token == END:
            return "".join(LETTERS[t - 3] if t >= 3 else "?" for t in said)
        said.append(token)
    return None


def test_a_translator_learns_to_reverse_words_and_when_to_stop(rng):
    random.set_seed(3)
    words = [
        "".join(w) for n in range(1, LONGEST + 1) for w in itertools.product(LETTERS, repeat=n)
    ]
    order = rng.permutation(len(words))
    unseen, seen = ([words[i] for i in part] for part in (order[:40], order[40:]))
    source, said, to_say = texts(seen)
    model, encoder, decoder = networks()
    model.compile(
        optimizers.Adam(0.01, global_clipnorm=1.0),
        losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    history = model.fit([source, said], to_say, batch_size=32, epochs=25, verbose=0).history
    assert history["loss"][-1] < 0.02 * np.log(TOKENS)
    found = [translate(encoder, decoder, word) for word in unseen]
    right = [said == word[::-1] for said, word in zip(found, unseen, strict=True)]
    assert {len(word) for word in unseen} >= {2, 3, 4}
    assert np.mean(right) > 0.9


def test_a_translator_that_never_says_the_end_goes_on():
    _, encoder, decoder = networks()
    decoder.layers[-1].set_weights([np.zeros((UNITS, TOKENS)), np.eye(TOKENS)[3]])
    assert translate(encoder, decoder, "ab") is None
    decoder.layers[-1].set_weights([np.zeros((UNITS, TOKENS)), np.eye(TOKENS)[END]])
    assert translate(encoder, decoder, "ab") == ""
