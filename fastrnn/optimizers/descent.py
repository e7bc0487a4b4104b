"""Gradient descent: one learning rate for all numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastrnn.kernels.cpu import rules
from fastrnn.optimizers.optimizer import Optimizer
from fastrnn.optimizers.options import LearningRate, Options, closed_share

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SGD(Optimizer):
    """Gradient descent, with or without momentum.

    Parameters
    ----------
    learning_rate : float, schedule or callable
    momentum : float
        In [0, 1]: how much of the last step is taken again.
    nesterov : bool
        Whether the gradient counts as taken ahead, where momentum leads (Nesterov 1983).
    weight_decay, **options
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

    _OPTIONS = ("momentum", "nesterov")

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.momentum = closed_share("momentum", momentum)
        self.nesterov = nesterov
        super().__init__(learning_rate, weight_decay, **options)

    def _rule(self, rate: float, step: int) -> Any:
        if not self.momentum:
            return rules.Descent(rate)
        rule = rules.Nesterov if self.nesterov else rules.Momentum
        return rule(rate, self.momentum)


class Lion(Optimizer):
    """Lion: steps of one size, by the sign of momentum and gradient together.

    Parameters
    ----------
    learning_rate : float, schedule or callable
    beta_1 : float
        In (0, 1]: how much the momentum counts beside the gradient.
    beta_2 : float
        In [0, 1]: memory of the momentum.
    weight_decay, **options
        See `Optimizer`.

    Source
    ------
    X. Chen et al., Symbolic discovery of optimization algorithms, NeurIPS 2023.
    """

    _OPTIONS = ("beta_1", "beta_2")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.beta_1 = closed_share("beta_1", beta_1)
        if not self.beta_1:
            raise ValueError(f"beta_1: expected a number above 0, got {beta_1!r}")
        self.beta_2 = closed_share("beta_2", beta_2)
        super().__init__(learning_rate, weight_decay, **options)

    def _rule(self, rate: float, step: int) -> Any:
        return rules.Lion(rate, self.beta_1, self.beta_2)
