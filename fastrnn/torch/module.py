"""What our modules share: how they are called, and how tools that read models see them."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import torch
from torch import nn

from fastrnn.torch import fallback


class Module(nn.Module):
    """A subclass of a recurrent class of torch.nn that computes on the kernels.

    STOCK is that class.  The tensors, hooks and other attributes of an instance are those of a
    stock module, so that either becomes the other by its `__class__` alone.
    """

    STOCK: type[nn.Module]

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Run over the input; arguments, results and errors are those of the class of torch.nn."""
        if torch.compiler.is_compiling():
            return self.STOCK.forward(self, input, hx)
        # Whoever compiles the program around us would not compile torch's operations here, but
        # fastrnn itself.  Nobody does before that module is imported, which takes a second.
        run = Module._run_or_leave
        return (_disabled(run) if "torch._dynamo" in sys.modules else run)(self, input, hx)

    def _run_or_leave(self, input: Any, hx: Any) -> Any:
        """Run on the kernels, or have torch.nn run or raise an error."""
        if isinstance(input, torch.fx.Proxy):
            tracer: Any = input.tracer
            path = tracer.path_of_module(self)
            return tracer.create_proxy("call_module", path, (input, hx), {})
        if fallback.is_watched():
            return self.STOCK.forward(self, input, hx)
        result = self._run(input, hx)
        if result is None:
            result = self.STOCK.forward(self, input, hx)
            # Only now: what torch.nn refuses is an error, and nothing to be told.
            fallback.tell(type(self).__name__, (input, *self._parameters.values()))
        return result

    def _run(self, input: Any, hx: Any) -> Any:
        """Return the results; None where something is not as the kernels take it."""
        raise NotImplementedError

    def __prepare_scriptable__(self) -> nn.Module:
        """Return what `torch.jit.script` compiles instead: a stock module on the same tensors."""
        if self.STOCK not in type(self).__bases__:
            return self
        stock = self.STOCK.__new__(self.STOCK)
        stock.__dict__ = self.__dict__.copy()
        return stock


@cache
def _disabled(function: Any) -> Any:
    """Return a function that `torch.compile` calls as it is."""
    return torch.compiler.disable(function)  # type: ignore[no-untyped-call]
