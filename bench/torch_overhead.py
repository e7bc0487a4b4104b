"""What a call of `fastrnn.torch` takes besides its kernels, in microseconds of one thread.

    python -m bench.torch_overhead [--calls 300] [--rounds 15]

Of each size: inference, forward with gradients, and forward and backward, each by processor time,
the least of the rounds.  "Kernels" is the time of the recorded kernel calls alone.  The floor is a
module around an empty `torch.autograd.Function` of as many tensors, which has its results ready:
what torch's own part of such a call takes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import fastrnn.torch
from fastrnn.torch.calls import Calls

from . import timing

# Name, (T, B, I, H) and options of what is called.
SIZES: list[tuple[str, tuple[int, int, int, int], dict[str, Any]]] = [
    ("LSTM", (5, 1, 4, 4), {}),
    ("GRU", (5, 1, 4, 4), {}),
    ("LSTM", (5, 1, 4, 4), {"bidirectional": True}),
    ("LSTM", (20, 8, 32, 32), {}),
    ("GRU", (20, 8, 32, 32), {}),
]


class Empty(torch.autograd.Function):
    """Takes and gives tensors as a layer does, and computes nothing."""

    @staticmethod
    def forward(ctx: Any, results: list[Tensor], *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the results."""
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        return tuple(result.detach() for result in results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return gradients of all weights."""
        _, *weights = ctx.saved_tensors
        return (None, None, *[torch.empty_like(weight) for weight in weights])


class Floor(nn.Module):
    """A module around `Empty` on the weights of another."""

    def __init__(self, module: nn.Module, results: list[Tensor]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(module.parameters())
        self._own = list(self.weights)
        self._results = results

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the results."""
        if torch.is_grad_enabled():
            return Empty.apply(self._results, x, *self._own)
        return tuple(result.detach() for result in self._results)


class Clock:
    """Adds up the time of the kernel calls."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._run = Calls.run

    def run(self, calls: Calls) -> None:
        """Make the calls."""
        begin = time.thread_time()
        self._run(calls)
        self.seconds += time.thread_time() - begin


def kinds(module: nn.Module, x: Tensor) -> dict[str, Callable[[], Any]]:
    """Return the kinds of calls."""
    weights = list(module.parameters())
    dy = torch.ones_like(module(x)[0])

    def inference() -> None:
        with torch.no_grad():
            module(x)

    def training() -> None:
        for weight in weights:
            weight.grad = None
        module(x)[0].backward(dy)

    return {"inference": inference, "forward": lambda: module(x), "forward, backward": training}


def measure(call: Callable[[], Any], clock: Clock, options: argparse.Namespace) -> list[float]:
    """Return the microseconds of a call, and of its kernels."""
    for _ in range(20):
        call()
    best = [float("inf")] * 2
    for _ in range(options.rounds):
        clock.seconds = 0.0
        begin = time.thread_time()
        for _ in range(options.calls):
            call()
        total = time.thread_time() - begin
        best = [min(*pair) for pair in zip(best, (total, clock.seconds), strict=True)]
    return [1e6 * seconds / options.calls for seconds in best]


def main() -> None:
    """Print a line for each size and kind of call."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=timing.count, default=300, help="of a round")
    parser.add_argument("--rounds", type=timing.count, default=15, help="of which the best counts")
    options = parser.parse_args()
    timing.use_threads(1)
    torch.manual_seed(0)
    clock = Clock()
    Calls.run = lambda calls: clock.run(calls)  # type: ignore[method-assign]
    print("                                    call  kernels  besides    floor   torch.nn")
    for name, (T, B, I, H), given in SIZES:
        x = torch.randn(T, B, I)
        ours = getattr(fastrnn.torch, name)(I, H, **given)
        stock = getattr(nn, name)(I, H, **given)
        y, final = ours(x)
        results = [y.detach(), *(h.detach() for h in (final if name == "LSTM" else [final]))]
        sides = [kinds(module, x) for module in (ours, Floor(ours, results), stock)]
        ways = "both ways" if given else ""
        print(f"{name} T {T}, B {B}, I {I}, H {H} {ways}")
        for kind, call in sides[0].items():
            total, kernels = measure(call, clock, options)
            floor, stock_time = (measure(side[kind], clock, options)[0] for side in sides[1:])
            besides = total - kernels
            print(
                f"    {kind:26s} {total:9.1f}{kernels:9.1f}{besides:9.1f}{floor:9.1f}"
                f"{stock_time:11.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
