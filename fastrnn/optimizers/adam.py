"""Adam and its kin: momentum in units of a root mean square gradient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastrnn.kernels.cpu import rules
from fastrnn.optimizers.optimizer import Optimizer
from fastrnn.optimizers.options import LearningRate, Options, number, share

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Adam(Optimizer):
    """Adam: momentum in units of the root of the mean square gradient.

    Parameters
    ----------
    learning_rate : float, schedule or callable
    beta_1, beta_2 : float
        In [0, 1): memory of the mean gradient and of the mean square.
    epsilon : float
        At least 0; added to the root of the mean square before its bias is corrected
        ("epsilon hat" of the paper).
    amsgrad : bool
        Whether the highest mean square so far takes the place of the mean square (S. J. Reddi
        et al., On the convergence of Adam and beyond, ICLR 2018).
    weight_decay, **options
        See `Optimizer`.

    Source
    ------
    D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015.
    """

    _OPTIONS = ("beta_1", "beta_2", "epsilon", "amsgrad")
    _PAIRED = ("m", "v")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.beta_1 = share("beta_1", beta_1)
        self.beta_2 = share("beta_2", beta_2)
        self.epsilon = number("epsilon", epsilon)
        self.amsgrad = amsgrad
        super().__init__(learning_rate, weight_decay, **options)

    def _rule(self, rate: float, step: int) -> Any:
        correction = math.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        rule = rules.AMSGrad if self.amsgrad else rules.Adam
        return rule(rate * correction, self.beta_1, self.beta_2, self.epsilon)


class AdamW(Adam):
    """Adam with weight decay by default (I. Loshchilov and F. Hutter, ICLR 2019).

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, amsgrad
        See `Adam`.
    weight_decay, **options
        See `Optimizer`; there must be a decay.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        number("weight_decay", weight_decay)
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, **options)


class Adamax(Optimizer):
    """Adamax: momentum in units of the highest gradient, which fades with time.

    Parameters
    ----------
    learning_rate : float, schedule or callable
    beta_1, beta_2 : float
        In [0, 1): memory of the mean gradient and of the highest one.
    epsilon : float
        At least 0; added to the highest gradient.
    weight_decay, **options
        See `Optimizer`.

    Source
    ------
    D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015, section 7.1.
    """

    _OPTIONS = ("beta_1", "beta_2", "epsilon")
    _PAIRED = ("m", "u")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.beta_1 = share("beta_1", beta_1)
        self.beta_2 = share("beta_2", beta_2)
        self.epsilon = number("epsilon", epsilon)
        super().__init__(learning_rate, weight_decay, **options)

    def _rule(self, rate: float, step: int) -> Any:
        rate /= 1.0 - self.beta_1**step
        return rules.Adamax(rate, self.beta_1, self.beta_2, self.epsilon)


class Nadam(Optimizer):
    """Adam with Nesterov's momentum, which grows from about half of `beta_1` to all of it.

    Parameters
    ----------
    learning_rate : float, schedule or callable
    beta_1, beta_2 : float
        In [0, 1): memory of the mean gradient and of the mean square.
    epsilon : float
        At least 0; added to the root of the corrected mean square.
    weight_decay, **options
        See `Optimizer`.

    Source
    ------
    T. Dozat, Incorporating Nesterov momentum into Adam, ICLR workshop 2016.
    """

    _OPTIONS = ("beta_1", "beta_2", "epsilon")
    _PAIRED = ("m", "v")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.beta_1 = share("beta_1", beta_1)
        self.beta_2 = share("beta_2", beta_2)
        self.epsilon = number("epsilon", epsilon)
        self._product = (0, 1.0)  # a step, and the product of the momenta up to it
        super().__init__(learning_rate, weight_decay, **options)

    def _momentum(self, step: int) -> float:
        return self.beta_1 * (1.0 - 0.5 * 0.96**step)

    def _product_to(self, step: int) -> float:
        """Return the product of the momenta of all steps up to this, always in that order."""
        known, product = self._product if self._product[0] <= step else (0, 1.0)
        for later in range(known + 1, step + 1):
            product *= self._momentum(later)
        self._product = (step, product)
        return product

    def _rule(self, rate: float, step: int) -> Any:
        product, ahead = self._product_to(step), self._momentum(step + 1)
        return rules.Nadam(
            rate * ahead / (1.0 - product * ahead),
            rate * (1.0 - self._momentum(step)) / (1.0 - product),
            1.0 / (1.0 - self.beta_2**step),
            self.beta_1,
            self.beta_2,
            self.epsilon,
        )

    def _extras(self) -> list[float]:
        return [self._product_to(self.iterations)]
