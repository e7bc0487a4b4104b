"""The optimizers, with Keras' names, defaults and definitions."""

from __future__ import annotations

import math
from typing import Any

from fastrnn.kernels.cpu import update as kernel
from fastrnn.optimizers.optimizer import Optimizer, number, share


class SGD(Optimizer):
    """Gradient descent, with or without momentum.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    momentum : float
        In [0, 1): how much of the last step is taken again.
    nesterov : bool
        Whether the gradient counts as taken ahead, where momentum leads (Nesterov 1983).
    weight_decay, clipnorm, clipvalue, global_clipnorm
        See `Optimizer`.

    Source
    ------
    I. Sutskever et al., On the importance of initialization and momentum in deep learning,
    ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> w = {"w": np.ones(2, np.float32)}
    >>> SGD(0.5).update(w, {"w": np.array([0.0, 1.0], np.float32)})
    1.0
    >>> w["w"].tolist()
    [1.0, 0.5]
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        self.momentum = share("momentum", momentum)
        self.nesterov = nesterov
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
        )

    def _rule(self) -> Any:
        if not self.momentum:
            return kernel.Descent(self.learning_rate, self._decay)
        rule = kernel.Nesterov if self.nesterov else kernel.Momentum
        return rule(self.learning_rate, self._decay, self.momentum)


class RMSprop(Optimizer):
    """RMSprop: steps in units of the root of the mean square gradient.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    rho : float
        In [0, 1): memory of the mean square.
    epsilon : float
        At least 0; added to the mean square.
    weight_decay, clipnorm, clipvalue, global_clipnorm
        See `Optimizer`.

    Source
    ------
    G. Hinton, Neural networks for machine learning, lecture 6e, 2012.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        *,
        rho: float = 0.9,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        self.rho = share("rho", rho)
        self.epsilon = number("epsilon", epsilon)
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
        )

    def _rule(self) -> Any:
        return kernel.RMSprop(self.learning_rate, self._decay, self.rho, self.epsilon)


class Adam(Optimizer):
    """Adam: momentum in units of the root of the mean square gradient.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    beta_1, beta_2 : float
        In [0, 1): memory of the mean gradient and of the mean square.
    epsilon : float
        At least 0; added to the root of the mean square before its bias is corrected
        ("epsilon hat" of the paper).
    weight_decay, clipnorm, clipvalue, global_clipnorm
        See `Optimizer`.

    Source
    ------
    D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        self.beta_1 = share("beta_1", beta_1)
        self.beta_2 = share("beta_2", beta_2)
        self.epsilon = number("epsilon", epsilon)
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
        )

    def _rule(self) -> Any:
        step = max(1, self.iterations)
        correction = math.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        rate = self.learning_rate * correction
        return kernel.Adam(rate, self._decay, self.beta_1, self.beta_2, self.epsilon)


class AdamW(Adam):
    """Adam with weight decay by default (I. Loshchilov and F. Hutter, ICLR 2019).

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon
        See `Adam`.
    weight_decay, clipnorm, clipvalue, global_clipnorm
        See `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        *,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        super().__init__(
            learning_rate,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
        )


#: Every optimizer by the name that `compile` takes.
OPTIMIZERS: dict[str, type[SGD] | type[RMSprop] | type[Adam]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}
