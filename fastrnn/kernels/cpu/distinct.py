"""Which rows of an array are equal, bit for bit, so that work on them need be done once only."""

from __future__ import annotations

from typing import NamedTuple

from fastrnn._jit import part
from fastrnn.kernels.cpu.task import Floats, Ids, Ints, task


class Search(NamedTuple):
    """Arguments of `search`.

    Row n is that of sequence n % B of step n // B.
    """

    N: int
    B: int
    M: int  # words of a row, side by side
    words: Ids  # of the rows: their bits
    time: int  # words from one step to the next
    batch: int  # words from one sequence to the next
    keys: Ints  # (M,) odd numbers, arbitrary ones
    mask: int  # slots - 1
    slots: Ids  # (slots,) scratch, more than twice as many as `most`, a power of two
    hashes: Ints  # (most,) scratch
    most: int
    ids: Ids  # (N,) written: of each row the number of its like
    first: Ints  # (most,) written: where each of those appears first
    found: Ints  # (1,) written: how many there are, -1 for too many
    like: Floats  # any array: tells the number format, which is of no effect


@part
def _hash(s, place):  # type: ignore[no-untyped-def]
    """Return the sum of the products of a row's words with the keys."""
    total = 0
    for i in range(s.M):
        total += s.words[place + i] * s.keys[i]
    return total


@part
def _are_equal(s, place, other):  # type: ignore[no-untyped-def]
    """Return whether two rows have the same words."""
    difference = 0
    for i in range(s.M):
        difference |= s.words[place + i] ^ s.words[other + i]
    return difference == 0


@task
def search(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Give numbers to the rows that differ, in the order in which they first appear.

    args    Search; writes ids, first and found, and scratch in slots and hashes

    It gives up as soon as it has met `most` of them, or 64 and half of the rows that it has
    seen.  One worker does it all: each row is looked up among those before it.
    """
    s = args[0]
    if worker > 0:
        return
    for slot in range(s.mask + 1):
        s.slots[slot] = -1
    count = 0
    for n in range(s.N):
        place = n // s.B * s.time + n % s.B * s.batch
        hashed = _hash(s, place)
        slot = (hashed >> 32) & s.mask
        while True:
            number = s.slots[slot]
            if number < 0:
                if count == s.most or 2 * (count - 64) > n:
                    s.found[0] = -1
                    return
                s.slots[slot] = number = count
                s.hashes[count] = hashed
                s.first[count] = n
                count += 1
                break
            if s.hashes[number] == hashed:
                before = s.first[number]
                other = before // s.B * s.time + before % s.B * s.batch
                if _are_equal(s, place, other):
                    break
            slot = (slot + 1) & s.mask
        s.ids[n] = number
    s.found[0] = count
