"""Reads the weight files of GPT-SoVITS as they are published and fine-tuned, and says which version each one is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from torch import Tensor

from voiceclone.checkpoints import Record, find_tensors, read_payload
from voiceclone.errors import ModelFilesInvalid


class Version(str, Enum):
    """Of the second model (s2); the first one has the same shape in all of them but for the size of its alphabet."""

    V1 = "v1"
    V2 = "v2"
    V2_PRO = "v2Pro"
    V2_PRO_PLUS = "v2ProPlus"
    V3 = "v3"
    V4 = "v4"

    @property
    def has_flow_matching(self) -> bool:
        """Writes a mel for a vocoder; the others write samples themselves."""
        return self in (Version.V3, Version.V4)

    @property
    def takes_speaker_embedding(self) -> bool:
        return self in (Version.V2_PRO, Version.V2_PRO_PLUS)


#: First two bytes that stand in for the "PK" of an archive -> what they mark.
HEADS = {
    b"00": Version.V1, b"01": Version.V2, b"02": Version.V3, b"03": Version.V3, b"04": Version.V4,
    b"05": Version.V2_PRO, b"06": Version.V2_PRO_PLUS,
}  # fmt: skip
#: MD5 of the first 8 KiB of the published file that nothing else tells from a v3.
_PRETRAINED_V4 = "4f26b9476d0c5033e04162c486074374"


@dataclass(frozen=True)
class GptFile:
    """The first model (s1), its tensors named without "model."."""

    weights: Mapping[str, Tensor]
    config: Mapping[str, Any]
    name: str


@dataclass(frozen=True)
class SovitsFile:
    """The second model (s2) or, with a ``lora_rank``, what was trained on top of one."""

    weights: Mapping[str, Tensor]
    config: Mapping[str, Any]
    version: Version
    name: str
    lora_rank: int = 0


def read_gpt(path: Path) -> GptFile:
    """Read an s1 ``.ckpt``. Raises ModelFilesInvalid."""
    payload = _checked(path, read_payload(path))
    weights = {name.removeprefix("model."): value for name, value in find_tensors(payload, path.name).items()}
    if "ar_audio_embedding.word_embeddings.weight" not in weights:
        raise ModelFilesInvalid(
            f"{path.name} is no s1 of GPT-SoVITS; it has {', '.join(list(weights)[:3])}, ...",
            hint="Expected the .ckpt file from GPT_weights.",
        )
    return GptFile(weights, plain(payload.get("config", {})), path.name)


def read_sovits(path: Path) -> SovitsFile:
    """Read an s2 ``.pth`` of any version, or a LoRA of one. Raises ModelFilesInvalid."""
    payload = _checked(path, read_payload(path, heads=HEADS))
    weights = find_tensors(payload, path.name)
    if "enc_p.text_embedding.weight" not in weights and not _lora(weights):
        raise ModelFilesInvalid(
            f"{path.name} is no s2 of GPT-SoVITS; it has {', '.join(list(weights)[:3])}, ...",
            hint="Expected the .pth file from SoVITS_weights.",
        )
    config = plain(payload.get("config", {}))
    with path.open("rb") as file:
        head = file.read(8192)
    rank = payload.get("lora_rank", 0)
    if _lora(weights) and not isinstance(rank, int):
        raise ModelFilesInvalid(f"{path.name} has lora_rank {rank!r}.")
    if _lora(weights):
        rank = next(value.shape[0] for name, value in weights.items() if ".lora_A." in name)
    return SovitsFile(weights, config, version_of(weights, config, head), path.name, int(rank))


def version_of(weights: Mapping[str, Tensor], config: Mapping[str, Any], head: bytes = b"PK") -> Version:
    """Which version the tensors are of; where shapes leave a choice the configuration decides, then the head.

    ``head`` is how the file begins.
    """
    named = config.get("model", {}).get("version", config.get("version", ""))
    said = {version.value: version for version in Version}.get(str(named))
    marked = HEADS.get(head[:2])
    if _lora(weights) or any(name.startswith("cfm.") for name in weights):
        likely: Version = Version.V3
        possible: tuple[Version, ...] = (Version.V3, Version.V4)
        if hashlib.md5(head, usedforsecurity=False).hexdigest() == _PRETRAINED_V4:
            likely = Version.V4
    elif "sv_emb.weight" in weights:
        plus = weights["dec.conv_pre.weight"].shape[0] >= 768
        likely, possible = Version.V2_PRO_PLUS if plus else Version.V2_PRO, (Version.V2_PRO, Version.V2_PRO_PLUS)
    else:
        old = weights["enc_p.text_embedding.weight"].shape[0] == 322
        likely, possible = Version.V1 if old else Version.V2, (Version.V1,) if old else (Version.V2,)
    return next((version for version in (marked, said) if version in possible), likely)


def with_lora(base: SovitsFile, lora: SovitsFile) -> SovitsFile:
    """``base`` with the low-rank updates of ``lora`` added to its matrices and its other tensors put in place.

    Raises ModelFilesInvalid where the two do not belong together.
    """
    if not lora.lora_rank or base.lora_rank or not base.version.has_flow_matching:
        raise ModelFilesInvalid(f"{lora.name} cannot be put on {base.name}: expected a LoRA and a whole v3 or v4.")
    merged = dict(base.weights)
    for target, down, up in _updates(lora.weights):
        if target not in merged or merged[target].shape != (up.shape[0], down.shape[1]):
            raise ModelFilesInvalid(f"{lora.name} changes {target}, which {base.name} does not have in that shape.")
        merged[target] = merged[target].float() + up.float() @ down.float()
    for name, value in lora.weights.items():
        if ".lora_" not in name:
            merged[name.replace("cfm.base_model.model.", "cfm.")] = value
    return SovitsFile(merged, {**base.config, **lora.config}, lora.version, lora.name)


def _updates(weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name of each matrix that changes, with the two factors."""
    for name, down in weights.items():
        if ".lora_A." in name:
            up = weights[name.replace(".lora_A.", ".lora_B.")]
            yield name.partition(".lora_A.")[0].replace("cfm.base_model.model.", "cfm.") + ".weight", down, up


def _lora(weights: Mapping[str, Tensor]) -> bool:
    return any(".lora_A." in name for name in weights)


def plain(value: Any) -> Any:
    """``value`` with every configuration object in it turned into a dict."""
    if isinstance(value, Record):
        value = {name: item for name, item in vars(value).items() if name != "arguments"}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    return value


def _checked(path: Path, payload: Any) -> Mapping[str, Any]:
    if not isinstance(payload, Mapping):
        raise ModelFilesInvalid(f"{path.name} holds a {type(payload).__name__}, not the dict of GPT-SoVITS.")
    return payload
