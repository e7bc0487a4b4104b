"""The formulas of the optimizers: what one step does to one number.

A rule is a NamedTuple class, like a cell: its fields are its run-time constants, and it has

    advance(rule, p, g, slots)
        slots   the running averages that it keeps of the parameter; `SLOTS` names them
        Returns (p, slots): the parameter and its averages after the step with gradient g.

`rate` is the learning rate, times whatever else is the same for all numbers of a step.  Letters:
m average of gradients or of steps, v of squares of gradients, a of gradients beside an m of
steps, d of squares of steps, u and v_max highest gradient and v so far.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastrnn.simd.vector import absolute, maximum, sqrt, where_less


class Descent(NamedTuple):
    """Gradient descent."""

    rate: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        return p - rule.rate * g, slots


class Momentum(NamedTuple):
    """Gradient descent with momentum (Polyak 1964)."""

    rate: float
    momentum: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        m = rule.momentum * slots[0] - rule.rate * g
        return p + m, (m,)


class Nesterov(NamedTuple):
    """Gradient descent with Nesterov's momentum, in the form of Sutskever et al. 2013."""

    rate: float
    momentum: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        m = rule.momentum * slots[0] - rule.rate * g
        return p + (rule.momentum * m - rule.rate * g), (m,)


class RMSprop(NamedTuple):
    """RMSprop (Hinton 2012), epsilon under the root."""

    rate: float
    rho: float
    epsilon: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        v = rule.rho * slots[0] + (1.0 - rule.rho) * (g * g)
        return p - rule.rate * g / sqrt(v + rule.epsilon), (v,)


class RMSpropMomentum(NamedTuple):
    """RMSprop whose steps have momentum."""

    rate: float
    rho: float
    epsilon: float
    momentum: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        v, m = slots
        v = rule.rho * v + (1.0 - rule.rho) * (g * g)
        m = rule.momentum * m + rule.rate * g / sqrt(v + rule.epsilon)
        return p - m, (v, m)


class CenteredRMSprop(NamedTuple):
    """RMSprop in units of the standard deviation of the gradient (Graves 2013)."""

    rate: float
    rho: float
    epsilon: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        v, a = slots
        v = rule.rho * v + (1.0 - rule.rho) * (g * g)
        a = rule.rho * a + (1.0 - rule.rho) * g
        # Rounding must not make a variance negative.
        return p - rule.rate * g / sqrt(maximum(v - a * a, 0.0) + rule.epsilon), (v, a)


class CenteredRMSpropMomentum(NamedTuple):
    """Centred RMSprop whose steps have momentum."""

    rate: float
    rho: float
    epsilon: float
    momentum: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        v, m, a = slots
        v = rule.rho * v + (1.0 - rule.rho) * (g * g)
        a = rule.rho * a + (1.0 - rule.rho) * g
        step = rule.rate * g / sqrt(maximum(v - a * a, 0.0) + rule.epsilon)
        m = rule.momentum * m + step
        return p - m, (v, m, a)


class Adagrad(NamedTuple):
    """Adagrad (Duchi et al. 2011), epsilon under the root."""

    rate: float
    epsilon: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        v = slots[0] + g * g
        return p - rule.rate * g / sqrt(v + rule.epsilon), (v,)


class Adadelta(NamedTuple):
    """Adadelta (Zeiler 2012)."""

    rate: float
    rho: float
    epsilon: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        v, d = slots
        v = rule.rho * v + (1.0 - rule.rho) * (g * g)
        step = sqrt(d + rule.epsilon) * g / sqrt(v + rule.epsilon)
        d = rule.rho * d + (1.0 - rule.rho) * (step * step)
        return p - rule.rate * step, (v, d)


class Adam(NamedTuple):
    """Adam (Kingma and Ba 2015), epsilon beside the root of the uncorrected v.

    `rate` holds the corrections of both averages: learning rate * sqrt(1 - beta_2**step) /
    (1 - beta_1**step).
    """

    rate: float
    beta_1: float
    beta_2: float
    epsilon: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        m, v = slots
        m = m + (g - m) * (1.0 - rule.beta_1)
        v = v + (g * g - v) * (1.0 - rule.beta_2)
        return p - rule.rate * m / (sqrt(v) + rule.epsilon), (m, v)


class AMSGrad(NamedTuple):
    """Adam whose steps never grow again (Reddi et al. 2018); `rate` as of `Adam`."""

    rate: float
    beta_1: float
    beta_2: float
    epsilon: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        m, v, v_max = slots
        m = m + (g - m) * (1.0 - rule.beta_1)
        v = v + (g * g - v) * (1.0 - rule.beta_2)
        v_max = maximum(v, v_max)
        return p - rule.rate * m / (sqrt(v_max) + rule.epsilon), (m, v, v_max)


class Adamax(NamedTuple):
    """Adamax (Kingma and Ba 2015); `rate` is learning rate / (1 - beta_1**step)."""

    rate: float
    beta_1: float
    beta_2: float
    epsilon: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        m, u = slots
        m = m + (g - m) * (1.0 - rule.beta_1)
        u = maximum(absolute(g), rule.beta_2 * u)
        return p - rule.rate * m / (u + rule.epsilon), (m, u)


class Nadam(NamedTuple):
    """Adam with Nesterov's momentum (Dozat 2016).

    `ahead` and `now` are learning rate times what m and g count, `correction` is
    1 / (1 - beta_2**step).
    """

    ahead: float
    now: float
    correction: float
    beta_1: float
    beta_2: float
    epsilon: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        m, v = slots
        m = m + (g - m) * (1.0 - rule.beta_1)
        v = v + (g * g - v) * (1.0 - rule.beta_2)
        step = (rule.ahead * m + rule.now * g) / (sqrt(rule.correction * v) + rule.epsilon)
        return p - step, (m, v)


class Lion(NamedTuple):
    """Lion (Chen et al. 2023): the sign of an average of momentum and gradient."""

    rate: float
    beta_1: float
    beta_2: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        mean = rule.beta_1 * slots[0] + (1.0 - rule.beta_1) * g
        m = rule.beta_2 * slots[0] + (1.0 - rule.beta_2) * g
        # Neither zero nor NaN is less than anything here: both are their own sign.
        sign = where_less(mean, 0.0, -1.0, where_less(-mean, 0.0, 1.0, mean))
        return p - rule.rate * sign, (m,)


class Mix(NamedTuple):
    """Weighted sum of a number and what arrives: averages of weights, sums of gradients."""

    kept: float
    taken: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        return rule.kept * p + rule.taken * g, slots


#: Letters of the running averages of each rule, in the order of its slots.
SLOTS: dict[type, tuple[str, ...]] = {
    Descent: (),
    Momentum: ("m",),
    Nesterov: ("m",),
    RMSprop: ("v",),
    RMSpropMomentum: ("v", "m"),
    CenteredRMSprop: ("v", "a"),
    CenteredRMSpropMomentum: ("v", "m", "a"),
    Adagrad: ("v",),
    Adadelta: ("v", "d"),
    Adam: ("m", "v"),
    AMSGrad: ("m", "v", "v_max"),
    Adamax: ("m", "u"),
    Nadam: ("m", "v"),
    Lion: ("m",),
    Mix: (),
}
