"""Tensors into a module, or a message that says what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from voiceclone.checkpoints.weight_norm import adapt_weight_norm
from voiceclone.errors import ModelFilesInvalid

if TYPE_CHECKING:
    from torch import Tensor, nn


def load_into(
    module: nn.Module, tensors: Mapping[str, Tensor], file: str, *, spare: Callable[[str], bool] = lambda name: False
) -> None:
    """Copy ``tensors`` into ``module`` as float32, whatever their spelling of weight norm.

    Names for which ``spare`` holds may be missing on either side. Raises ModelFilesInvalid naming up to five tensors
    that are missing, unknown or of another shape.
    """
    wanted = module.state_dict()
    found = adapt_weight_norm(tensors, wanted)
    missing = [name for name in wanted if name not in found and not spare(name)]
    unknown = [name for name in found if name not in wanted and not spare(name)]
    shapes = [
        f"{name} {list(found[name].shape)} for {list(value.shape)}"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
    faults = (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
    wrong = [f"{what}: {', '.join(names[:5])}{' and more' * (len(names) > 5)}" for what, names in faults if names]
    if wrong:
        raise ModelFilesInvalid(
            f"the weights in {file} do not fit their configuration; {'; '.join(wrong)}.",
            hint="The two files must come from the same training run.",
        )
    present = {name: value.float() if value.is_floating_point() else value
               for name, value in found.items() if name in wanted}  # fmt: skip
    module.load_state_dict(present, strict=False)
