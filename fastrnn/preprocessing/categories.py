"""Classes as vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_categorical(x: Any, num_classes: int | None = None) -> NDArray[np.float64]:
    """Return classes as vectors of zeros with a one at the place of the class.

    Parameters
    ----------
    x : (...,) or (..., 1) integers
        From 0.
    num_classes : int, optional
        Length of the vectors; one more than the largest class if not given.

    Returns
    -------
    (..., num_classes) array

    Raises
    ------
    ValueError
        If x has other numbers, or one that is no class.

    Examples
    --------
    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    ids = np.asarray(x)
    if ids.dtype.kind == "f" and np.array_equal(ids, np.rint(ids)):
        ids = ids.astype(np.int64)
    if ids.dtype.kind not in "biu" or ids.size == 0:
        raise ValueError(f"x: expected integers, got {ids.dtype} of shape {ids.shape}")
    if ids.ndim > 1 and ids.shape[-1] == 1:
        ids = ids[..., 0]
    count = int(ids.max()) + 1 if num_classes is None else num_classes
    if ids.min() < 0 or ids.max() >= count:
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise ValueError(f"x: expected classes in 0..{count - 1}, got {wrong}")
    return np.eye(count)[ids.astype(np.intp)]
