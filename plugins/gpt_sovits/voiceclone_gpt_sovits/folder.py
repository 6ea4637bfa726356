"""A model's folder: which of its files is the first model, the second one, HuBERT and the speaker encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voiceclone.errors import ModelFilesInvalid, PreconditionFailed
from voiceclone_gpt_sovits.content_features import ContentFeatures, read_content_features
from voiceclone_gpt_sovits.files import GptFile, SovitsFile, read_gpt, read_sovits
from voiceclone_gpt_sovits.gpt import Gpt, build_gpt
from voiceclone_gpt_sovits.sovits import Sovits, build_sovits
from voiceclone_gpt_sovits.speaker import SpeakerEncoder, read_speaker_encoder


@dataclass(frozen=True)
class ModelFolder:
    """``hubert`` and ``speaker`` are None where the folder has none: its voices must then have been made elsewhere."""

    gpt: Path
    sovits: Path
    hubert: Path | None = None
    speaker: Path | None = None

    @classmethod
    def find(cls, folder: Path) -> ModelFolder:
        """One ``.ckpt`` and one ``.pth``, with what upstream has beside them. Raises ModelFilesInvalid."""
        if not folder.is_dir():
            raise ModelFilesInvalid(f"{folder.name!r} is no folder.")
        checkpoints = sorted(folder.glob("*.ckpt"))
        speaker = next((path for path in sorted(folder.rglob("*.ckpt")) if "eres2net" in path.name.lower()), None)
        first = [path for path in checkpoints if path != speaker]
        second = [path for path in sorted(folder.glob("*.pth")) if "vocoder" not in path.name]
        if len(first) != 1 or len(second) != 1:
            raise ModelFilesInvalid(
                f"{folder.name!r} has {len(first)} .ckpt and {len(second)} .pth files; one of each makes a model.",
                hint="Put the s1 (GPT_weights) and the s2 (SoVITS_weights) of one voice or one pretrained pair there.",
            )
        hubert = next(
            (path.parent for path in sorted(folder.glob("*/config.json")) if "hubert" in path.parent.name), None
        )
        return cls(first[0], second[0], hubert, speaker)

    def read_gpt(self) -> GptFile:
        return read_gpt(self.gpt)

    def read_sovits(self) -> SovitsFile:
        return read_sovits(self.sovits)

    def build_gpt(self) -> Gpt:
        return build_gpt(self.read_gpt())

    def build_sovits(self) -> Sovits:
        """Raises PreconditionFailed for v3 and v4, which this backend does not speak with yet."""
        file = self.read_sovits()
        if file.version.has_flow_matching or file.lora_rank:
            raise PreconditionFailed(
                f"{file.name} is a {file.version.value}; this backend speaks with v1, v2 and v2Pro so far.",
                subject="gpt_sovits",
            )
        return build_sovits(file)

    def build_content_features(self) -> ContentFeatures | None:
        return None if self.hubert is None else read_content_features(self.hubert)

    def build_speaker_encoder(self) -> SpeakerEncoder | None:
        return None if self.speaker is None else read_speaker_encoder(self.speaker)
