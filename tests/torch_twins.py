"""Modules of torch.nn beside ours with the same weights, and how they are compared."""

from itertools import combinations, product

import numpy as np
import torch
from tolerances import TORCH_MODULE_FLOAT32, TORCH_MODULE_FLOAT64, assert_close
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from fastrnn import torch as ours

KINDS = {torch.float32: TORCH_MODULE_FLOAT32, torch.float64: TORCH_MODULE_FLOAT64}


def twins(name, *args, **options):
    """Return torch.nn's module of that name and ours, made from the same seed."""
    made = []
    for module in (nn, ours):
        torch.manual_seed(7)
        made.append(getattr(module, name)(*args, **options))
    return made


def tensors(value):
    """Return all tensors in nested tuples and packed sequences."""
    if value is None:
        return []
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [value.data]
    return [tensor for part in value for tensor in tensors(part)]


def copied(value):
    """Return nested tuples of tensors as new leaves that require gradients."""
    if value is None:
        return None
    if isinstance(value, tuple):
        return tuple(copied(part) for part in value)
    # clone() keeps strides
    return value.detach().clone().requires_grad_()


def same(actual, desired, name="tensor"):
    """Fail unless our tensor is within the bound of torch's, and of its type."""
    assert type(actual) is type(desired), name
    if desired is None:
        return
    assert actual.requires_grad == desired.requires_grad, name
    actual, desired = actual.detach(), desired.detach()
    assert_close(actual.numpy(), desired.numpy(), KINDS[desired.dtype], name)


def compare(stock, other, x, hx=None, pack=None):
    """Run both modules on copies of x and hx, and back from random gradients of all results.

    pack    what makes the module's input of x
    """
    cotangents, results = None, []
    for module in (stock, other):
        module.zero_grad()
        given, states = copied(x), copied(hx)
        outputs = module(given if pack is None else pack(given), states)
        found = tensors(outputs)
        if cotangents is None:
            cotangents = [torch.randn_like(tensor) for tensor in found]
        torch.autograd.backward(found, cotangents)
        gradients = {name: p.grad for name, p in module.named_parameters()}
        for i, leaf in enumerate(tensors((given, states))):
            gradients[f"argument {i}"] = leaf.grad
        results.append((outputs, gradients))
    (desired, desired_gradients), (actual, gradients) = results
    assert type(actual) is type(desired)
    for i, (a, d) in enumerate(zip(tensors(actual), tensors(desired), strict=True)):
        same(a, d, f"output {i}")
    assert list(gradients) == list(desired_gradients)
    for name, gradient in gradients.items():
        same(gradient, desired_gradients[name], f"gradient of {name}")


def all_pairs(options):
    """Return dicts of one value an option, few of them, with every pair of values together."""
    names = list(options)
    missing = {
        ((a, i), (b, j))
        for a, b in combinations(names, 2)
        for i, j in product(range(len(options[a])), range(len(options[b])))
    }
    rng = np.random.default_rng(3)
    chosen = []
    while missing:
        best, most = None, -1
        for _ in range(60):
            # Every candidate has a pair that is missing.
            case = {name: int(rng.integers(len(options[name]))) for name in names}
            case |= dict(min(missing))
            count = sum(pair in missing for pair in combinations(case.items(), 2))
            if count > most:
                best, most = case, count
        missing -= set(combinations(best.items(), 2))
        chosen.append({name: options[name][i] for name, i in best.items()})
    return chosen
