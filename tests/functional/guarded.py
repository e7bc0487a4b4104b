"""Arrays beside memory that nobody may touch: one number too far ends the process."""

import ctypes
import mmap

import numpy as np

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_FORBIDDEN, _READABLE = 0, 1  # PROT_NONE, PROT_READ
_PAGE = mmap.PAGESIZE


def guarded(a, at_end):
    """A read-only copy of `a` that starts or ends at a forbidden page."""
    pages = -(-a.nbytes // _PAGE)
    memory = mmap.mmap(-1, (pages + 2) * _PAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = _PAGE + (pages * _PAGE - a.nbytes if at_end else 0)
    copy = whole[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    copy[...] = a
    address = whole.__array_interface__["data"][0]
    for offset, length, permission in (
        (0, _PAGE, _FORBIDDEN),
        (_PAGE, pages * _PAGE, _READABLE),
        ((pages + 1) * _PAGE, _PAGE, _FORBIDDEN),
    ):
        if _libc.mprotect(address + offset, length, permission):
            raise OSError(ctypes.get_errno(), "mprotect")
    return copy


def guarded_in_any_order(rng, a, at_end):
    """`guarded` with axes permuted and reversed in memory, which the result does not show."""
    axes = rng.permutation(a.ndim)
    turns = tuple(slice(None, None, int(rng.choice([1, 1, -1]))) for _ in axes)
    inside = guarded(np.array(a[turns].transpose(axes), order="C"), at_end)
    return inside.transpose(np.argsort(axes))[turns]
