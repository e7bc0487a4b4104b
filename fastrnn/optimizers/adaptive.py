"""Steps in units of a root mean square gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastrnn.kernels.cpu import rules
from fastrnn.optimizers.optimizer import Optimizer
from fastrnn.optimizers.options import LearningRate, Options, closed_share, number, share

if TYPE_CHECKING:
    from typing_extensions import Unpack


class RMSprop(Optimizer):
    """RMSprop: steps in units of the root of the mean square gradient.

    Parameters
    ----------
    learning_rate : float, schedule or callable
    rho : float
        In [0, 1): memory of the mean square.
    momentum : float
        In [0, 1]: how much of the last step is taken again.
    epsilon : float
        At least 0; added to the mean square.
    centered : bool
        Whether the square of the mean gradient is subtracted from the mean square (A. Graves,
        Generating sequences with recurrent neural networks, 2013).
    weight_decay, **options
        See `Optimizer`.

    Source
    ------
    G. Hinton, Neural networks for machine learning, lecture 6e, 2012.
    """

    _OPTIONS = ("rho", "momentum", "epsilon", "centered")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.rho = share("rho", rho)
        self.momentum = closed_share("momentum", momentum)
        self.epsilon = number("epsilon", epsilon)
        self.centered = centered
        super().__init__(learning_rate, weight_decay, **options)

    def _rule(self, rate: float, step: int) -> Any:
        if self.momentum:
            rule = rules.CenteredRMSpropMomentum if self.centered else rules.RMSpropMomentum
            return rule(rate, self.rho, self.epsilon, self.momentum)
        plain = rules.CenteredRMSprop if self.centered else rules.RMSprop
        return plain(rate, self.rho, self.epsilon)


class Adagrad(Optimizer):
    """Adagrad: steps in units of the root of the sum of all squares of the gradient so far.

    Parameters
    ----------
    learning_rate : float, schedule or callable
    initial_accumulator_value : float
        At least 0: where the sum begins.
    epsilon : float
        At least 0; added to the sum.
    weight_decay, **options
        See `Optimizer`.

    Source
    ------
    J. Duchi et al., Adaptive subgradient methods for online learning and stochastic
    optimization, JMLR 12, 2011.
    """

    _OPTIONS = ("initial_accumulator_value", "epsilon")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.initial_accumulator_value = number(
            "initial_accumulator_value", initial_accumulator_value
        )
        self.epsilon = number("epsilon", epsilon)
        super().__init__(learning_rate, weight_decay, **options)
        self._initial = {"v": self.initial_accumulator_value}

    def _rule(self, rate: float, step: int) -> Any:
        return rules.Adagrad(rate, self.epsilon)


class Adadelta(Optimizer):
    """Adadelta: steps in units of gradients are turned into units of the steps before.

    Parameters
    ----------
    learning_rate : float, schedule or callable
        The paper has 1.
    rho : float
        In [0, 1): memory of the mean squares of gradients and of steps.
    epsilon : float
        At least 0; added to both mean squares.
    weight_decay, **options
        See `Optimizer`.

    Source
    ------
    M. D. Zeiler, ADADELTA: an adaptive learning rate method, 2012.
    """

    _OPTIONS = ("rho", "epsilon")
    _PAIRED = ("v", "d")

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.rho = share("rho", rho)
        self.epsilon = number("epsilon", epsilon)
        super().__init__(learning_rate, weight_decay, **options)

    def _rule(self, rate: float, step: int) -> Any:
        return rules.Adadelta(rate, self.rho, self.epsilon)
