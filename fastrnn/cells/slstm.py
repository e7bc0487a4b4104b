"""Scalar long short-term memory with exponential input gate (xLSTM; Beck et al. 2024).

(1) g = tanh(a_g)    o = sigmoid(a_o)
(2) u = log(sigmoid(a_f)) + m_prev
(3) m = max(u, a_i)
(4) f = exp(u - m)    i = exp(a_i - m)
(5) c = f * c_prev + i * g
(6) n = f * n_prev + i
(7) h = o * c / n

The state m keeps the exponents at or below 0; h would be the same without it, as c and n are
scaled alike.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastrnn.simd.mathematics import exp, expm1, logsigmoid, maximum, sigmoid, tanh, where_less


class SLSTM(NamedTuple):
    """The sLSTM cell."""

    GATES = ("i", "f", "g", "o")  # type: ignore[misc]
    STATES = ("h", "c", "n", "m")  # type: ignore[misc]

    def forward(cell: Any, a: Any, state: Any) -> Any:  # noqa: N805
        """One step: see the package's docstring."""
        a_i, a_f, a_g, a_o = a
        _, c_prev, n_prev, m_prev = state
        g, o = tanh(a_g), sigmoid(a_o)  # (1)
        log_f = logsigmoid(a_f)
        u = log_f + m_prev  # (2)
        m = maximum(u, a_i)  # (3)
        f, i = exp(u - m), exp(a_i - m)  # (4)
        c = f * c_prev + i * g  # (5)
        n = f * n_prev + i  # (6)
        return (a_i, log_f, g, o), (o * c / n, c, n, m)  # (7)

    def backward(cell: Any, saved: Any, before: Any, after: Any, dstate: Any) -> Any:  # noqa: N805
        """Gradients of one step: see the package's docstring."""
        a_i, log_f, g, o = saved
        _, c_prev, n_prev, m_prev = before
        _, c, n, m = after
        dh, dc, dn, dm = dstate
        u = log_f + m_prev  # (2)
        f, i = exp(u - m), exp(a_i - m)  # (4)
        ratio = c / n
        da_o = dh * ratio * (o * (1.0 - o))  # (7) (1)
        scaled = dh * o / n
        dc = dc + scaled  # (7)
        dn = dn - scaled * ratio  # (7)
        di = (dc * g + dn) * i  # (5) (6) (4)
        df = (dc * c_prev + dn * n_prev) * f  # (5) (6) (4)
        dm = dm - di - df  # (4)
        # Which of the two m is, both in half where they are equal.
        share = where_less(u, a_i, 0.0, where_less(a_i, u, 1.0, 0.5))
        du = df + dm * share  # (4) (3)
        da_i = di + dm * (1.0 - share)  # (4) (3)
        da_f = du * -expm1(log_f)  # (2): 1 - sigmoid(a_f)
        da_g = dc * i * (1.0 - g * g)  # (5) (1)
        return (da_i, da_f, da_g, da_o), (0.0, dc * f, dn * f, du)
