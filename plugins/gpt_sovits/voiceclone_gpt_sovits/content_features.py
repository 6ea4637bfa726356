"""HuBERT, whose features of a recording the codes are made of, from the folder that upstream publishes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from voiceclone.checkpoints import find_tensors, load_into, read_json, read_payload
from voiceclone.errors import ModelFilesInvalid

if TYPE_CHECKING:
    from transformers import HubertModel

#: Silence after a recording, in samples at 16 kHz, as upstream appends it.
_SILENCE = 9600
SAMPLE_RATE = 16000


class ContentFeatures(nn.Module):
    """Samples ``[T]`` at 16 kHz -> features ``[1, C, T / 320]``; upstream does not normalise the samples either."""

    def __init__(self, hubert: HubertModel) -> None:
        super().__init__()
        self.hubert = hubert

    def forward(self, samples: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(samples, (0, _SILENCE))[None]
        features: Tensor = self.hubert(padded).last_hidden_state
        return features.transpose(1, 2)


def read_content_features(folder: Path) -> ContentFeatures:
    """A Hugging Face folder of a HuBERT. Raises ModelFilesInvalid."""
    from transformers import HubertConfig, HubertModel

    config = read_json(folder / "config.json")
    file = next(
        (folder / name for name in ("model.safetensors", "pytorch_model.bin") if (folder / name).exists()), None
    )
    if file is None:
        raise ModelFilesInvalid(f"{folder.name} holds no weights of a HuBERT.")
    try:
        hubert = HubertModel(HubertConfig.from_dict(config))
    except (TypeError, ValueError, KeyError) as error:
        raise ModelFilesInvalid(f"the configuration in {folder.name} is none of a HuBERT: {error!r}.") from error
    tensors = {
        name.removeprefix("hubert."): value for name, value in find_tensors(read_payload(file), file.name).items()
    }
    known = set(hubert.state_dict())
    load_into(hubert, tensors, file.name, spare=lambda name: name == "masked_spec_embed" or not _ours(name, known))
    return ContentFeatures(hubert).eval()


def _ours(name: str, known: set[str]) -> bool:
    """Whether a tensor belongs to the network itself, not to a head that was trained on it."""
    return name in known or name.split(".")[0] in ("encoder", "feature_extractor", "feature_projection")
