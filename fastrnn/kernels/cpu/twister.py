"""Dropout with the random numbers of a Mersenne twister that somebody else owns.

MT19937 (M. Matsumoto and T. Nishimura, Mersenne twister, ACM TOMACS 1998): 624 words of 32 bits
that are replaced all at once, each of them *tempered* where it is given out.  A number is kept
where 53 bits of two words, the second one and the low 21 bits of the first above it, are below a
threshold.
"""

from __future__ import annotations

from typing import NamedTuple

from fastrnn._jit import part
from fastrnn.kernels.cpu.task import Floats, Ints, task

#: Words of the state.
WORDS = 624

_AHEAD = 397
_MATRIX = 0x9908B0DF
_HIGH = 0x80000000
_LOW = 0x7FFFFFFF


class Drop(NamedTuple):
    """Arguments of `drop`."""

    size: int
    x: Floats  # (size,)
    y: Floats  # (size,) written: x times the factors
    factors: Floats  # (size,) written: `factor` or 0
    factor: float
    threshold: int  # of 2**53 equally likely numbers, those below keep theirs
    state: Ints  # (WORDS,) read and written
    place: Ints  # (1,) words of the state that have been given out; read and written
    words: Ints  # (WORDS,) scratch


@part
def _replace(state):  # type: ignore[no-untyped-def]
    """Replace all words of the state."""
    for i in range(WORDS - _AHEAD):
        state[i] = state[i + _AHEAD] ^ _twisted(state[i], state[i + 1])
    for i in range(WORDS - _AHEAD, WORDS - 1):
        state[i] = state[i + _AHEAD - WORDS] ^ _twisted(state[i], state[i + 1])
    state[WORDS - 1] = state[_AHEAD - 1] ^ _twisted(state[WORDS - 1], state[0])


@part
def _twisted(u, v):  # type: ignore[no-untyped-def]
    return (((u & _HIGH) | (v & _LOW)) >> 1) ^ ((v & 1) * _MATRIX)


@part
def _tempered(y):  # type: ignore[no-untyped-def]
    y ^= y >> 11
    y ^= (y << 7) & 0x9D2C5680
    y ^= (y << 15) & 0xEFC60000
    return y ^ (y >> 18)


@task
def drop(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Multiply each number by `factor` or by 0, in the order of the random numbers.

    args    Drop; writes y, factors, state and place

    One worker does it all: the state is a chain.
    """
    if worker > 0:
        return
    s = args[0]
    place = s.place[0]
    i = 0
    high = -1  # the first of two words where the second is the next state's
    while i < s.size:
        if place == WORDS:
            _replace(s.state)
            place = 0
        for n in range(place, WORDS):
            s.words[n] = _tempered(s.state[n])
        if high >= 0:
            s.factors[i] = s.factor if (high << 32) | s.words[place] < s.threshold else 0.0
            high = -1
            place += 1
            i += 1
        pairs = min((WORDS - place) // 2, s.size - i)
        for n in range(pairs):
            number = ((s.words[place + 2 * n] & 0x1FFFFF) << 32) | s.words[place + 2 * n + 1]
            s.factors[i + n] = s.factor if number < s.threshold else 0.0
        place += 2 * pairs
        i += pairs
        if i < s.size and place < WORDS:
            high = s.words[place] & 0x1FFFFF
            place += 1
    s.place[0] = place
    for n in range(s.size):
        s.y[n] = s.x[n] * s.factors[n]
