"""Where the tensors are in what a trainer saved, under which prefixes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from voiceclone.errors import ModelFilesInvalid

if TYPE_CHECKING:
    from torch import Tensor

#: Under which keys trainers keep the weights, most telling first.
WRAPPERS = ("model", "state_dict", "weight", "model_state", "model_state_dict", "generator", "net_g", "module")
#: What wrappers of a model put before every name.
_PREFIXES = ("module.", "_orig_mod.")


def find_tensors(payload: Any, file: str = "the file", wrappers: Iterable[str] = WRAPPERS) -> dict[str, Tensor]:
    """The flat dict of tensors inside ``payload``, without the prefixes of parallel and compiled models.

    Raises ModelFilesInvalid naming what was found instead.
    """
    import torch

    for key in wrappers:
        if isinstance(payload, Mapping) and isinstance(payload.get(key), Mapping):
            payload = payload[key]
            break
    if not isinstance(payload, Mapping):
        raise ModelFilesInvalid(f"{file} holds a {type(payload).__name__}, not a dict of tensors.")
    tensors = {str(name): value for name, value in payload.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        found = ", ".join(repr(str(key)) for key in list(payload)[:8]) or "nothing"
        raise ModelFilesInvalid(f"{file} holds no tensors.", hint=f"Its keys are {found}; expected a state dict.")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name[len(prefix) :]: value for name, value in tensors.items()}
    return tensors


def strip_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
