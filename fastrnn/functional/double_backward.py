"""Second derivatives of recurrent layers: the gradients of a function of gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from fastrnn.functional.dual_run import DualRun, SecondGradients
from fastrnn.functional.options import Embedded, Options
from fastrnn.functional.weights import Weights

States = tuple[ArrayLike | None, ...]


def rnn_double_backward(
    cell: Any,
    x: ArrayLike | Embedded,
    W: ArrayLike,
    R: ArrayLike | None,
    b: ArrayLike | None = None,
    state: States | None = None,
    *,
    dy: ArrayLike | None = None,
    dstate: States | None = None,
    dstates: States | None = None,
    ddx: ArrayLike | None = None,
    ddW: ArrayLike | None = None,
    ddR: ArrayLike | None = None,
    ddb: ArrayLike | None = None,
    ddstate: States | None = None,
    ddextra: Mapping[str, ArrayLike] | None = None,
    extra: Mapping[str, ArrayLike] | None = None,
    lengths: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    reverse: bool = False,
    recurrent_mask: ArrayLike | None = None,
    zoneout: States | None = None,
    truncate: int = 0,
) -> SecondGradients:
    """Differentiate the gradients that `backward` of `rnn` returns (double backward).

    An objective that depends on those gradients, such as a penalty on the norm of dx, has a
    gradient with respect to each of them.  From these it has others with respect to all that the
    gradients were computed from: what was passed to `rnn`, and what to `backward`.

    Everything is computed in float64 by plain NumPy, from the arguments alone: `rnn` and
    `backward` need not have run.  It takes some sixty times as long as they do.

    Parameters
    ----------
    cell, x, W, R, b, state, extra, lengths, resets, reverse, recurrent_mask, zoneout, truncate
        As they were passed to `rnn`: arrays (T, B, I), (I, G * H) and so on.
    dy, dstate, dstates
        As they were passed to `backward`: a (T, B, H) array, and tuples of (B, H) and (T, B, H)
        arrays, one for each state; None for zeros.
    ddx, ddW, ddR, ddb, ddstate, ddextra
        Gradients of the objective with respect to the fields x, W, R, b, state and extra of
        `Gradients`, of the same shapes; None, also within `ddstate`, for zeros.

    Returns
    -------
    SecondGradients
        Gradients of the objective through the gradients: dy (T, B, H), dstate and dstates with
        respect to the arguments of `backward`, and x, W, R, b, state and extra with respect to
        those of `rnn`, to which belongs what the objective has directly of them.  R and b are
        None where there are none, extra for a cell without.

    Raises
    ------
    ValueError, TypeError
        Where an argument does not fit; the message names it.

    Notes
    -----
    Where an activation has a kink, the derivative of its slope is 0.  The states that `truncate`
    lets no gradient through are constants, to the second derivatives too.

    For any direction v, given as ddx and the like, the results dy and dstate are the directional
    derivatives J v of y and of the final states.  To the product H v of the Hessian of a loss L of
    y with a vector belongs, besides the other results with dy = L'(y), what `backward` makes of
    L''(y) times the result dy.

    Examples
    --------
    A gradient penalty: |dx|^2 is added to the loss sum(y) (H. Drucker and Y. LeCun, Improving
    generalization performance using double backpropagation, 1992).

    >>> import numpy as np
    >>> from fastrnn import functional
    >>> x, W, R = (np.full(s, 0.1, np.float32) for s in ((3, 2, 4), (4, 20), (5, 20)))
    >>> y, _, backward = functional.rnn("lstm", x, W, R)
    >>> dy = np.ones_like(y)
    >>> first = backward(dy)
    >>> objective = y.sum() + np.sum(first.x**2)
    >>> second = functional.rnn_double_backward("lstm", x, W, R, dy=dy, ddx=2 * first.x)
    >>> dW, dR = first.W + second.W, first.R + second.R
    >>> dW.shape, dR.shape
    ((4, 20), (5, 20))

    `second.dy` is the gradient with respect to dy, which goes on backwards where dy was computed
    from weights.
    """
    run = DualRun(Weights(cell, W, R, b, extra))
    run.read_input(x, lengths, resets, reverse)
    run.read_state(state)
    run.read_options(Options(recurrent_mask, zoneout, truncate))
    cotangents = run.read_cotangents(dy, dstate, dstates)
    run.read_directions(ddx, ddW, ddR, ddb, ddstate, ddextra)
    return run.differentiate(*cotangents)
