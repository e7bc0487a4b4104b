"""Functions that kernels know the answer of when they are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin


def define_constant(function: Callable[[Any], Any], answer: Callable[[Any], Any]) -> None:
    """Let kernels call `function(x)`, whose answer follows from the type of x.

    answer    takes the Numba type of x; returns an int, a bool or a tuple of ints

    It costs nothing to compile, which an overload of a few lines does: some 20 ms in every kernel.
    """

    class Typing(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            return signature(_type_of(answer(args[0])), *args)

    infer_global(function)(Typing)

    @lower_builtin(function, types.Any)
    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        value = answer(sig.args[0])
        if isinstance(value, tuple):
            numbers = [context.get_constant(types.intp, number) for number in value]
            return context.make_tuple(builder, sig.return_type, numbers)
        return context.get_constant(sig.return_type, value)


def _type_of(value: Any) -> types.Type:
    if isinstance(value, tuple):
        return types.UniTuple(types.intp, len(value))
    return types.boolean if isinstance(value, bool) else types.intp
