"""The three spellings of a weight-normed layer: old (weight_g, weight_v), torch's present one, and folded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_NEW = (".parametrizations.weight.original0", ".parametrizations.weight.original1")
_OLD = (".weight_g", ".weight_v")


def old_spelling(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` with every present spelling turned into the old one; folded weights stay folded."""
    renamed = {}
    for name, value in tensors.items():
        for new, old in zip(_NEW, _OLD, strict=True):
            if name.endswith(new):
                name = name.removesuffix(new) + old
        renamed[name] = value
    return renamed


def adapt_weight_norm(tensors: Mapping[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """``tensors`` with each layer spelled as in ``wanted``, the names of a module's state dict.

    A norm is folded where the module has a plain weight (``w = g * v / |v|`` over all dimensions but the first), and a
    plain weight is split into ``v = w`` and ``g = |w|`` where the module has a norm.
    """
    found = old_spelling(tensors)
    for name in wanted:
        if name.endswith(_NEW[0]):
            layer, g, v = name.removesuffix(_NEW[0]), name, name.removesuffix(_NEW[0]) + _NEW[1]
        elif name.endswith(_OLD[0]):
            layer, g, v = name.removesuffix(_OLD[0]), name, name.removesuffix(_OLD[0]) + _OLD[1]
        elif name.endswith(".weight") and name.removesuffix(".weight") + _OLD[0] in found:
            layer = name.removesuffix(".weight")
            found[name] = _fold(found.pop(layer + _OLD[0]), found.pop(layer + _OLD[1]))
            continue
        else:
            continue
        if layer + ".weight" in found:
            weight = found.pop(layer + ".weight")
            found[g], found[v] = _norm(weight), weight
        elif layer + _OLD[0] in found:
            found[g], found[v] = found.pop(layer + _OLD[0]), found.pop(layer + _OLD[1])
    return found


def _norm(weight: Tensor) -> Tensor:
    norm: Tensor = weight.flatten(1).norm(dim=1)
    return norm.view(-1, *[1] * (weight.dim() - 1))


def _fold(g: Tensor, v: Tensor) -> Tensor:
    # torch's own routine, so that a folded layer computes with exactly the weights of an unfolded one.
    from torch import _weight_norm

    # Not rounded back to half precision, which would be heard.
    weight: Tensor = _weight_norm(v.float(), g.float(), 0)
    return weight
