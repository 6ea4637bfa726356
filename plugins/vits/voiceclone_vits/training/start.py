"""What a training starts from: a preset with fresh weights, or any checkpoint that can be read, and its judges."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voiceclone.checkpoints import find_tensors, old_spelling, read_payload
from voiceclone.errors import InvalidRequest, ModelFilesInvalid
from voiceclone_vits.checkpoint import Checkpoint, read_checkpoint
from voiceclone_vits.config import SpeakerKind, VitsConfig
from voiceclone_vits.net import Vits
from voiceclone_vits.training.discriminators import MultiPeriodDiscriminator
from voiceclone_vits.training.duration_discriminators import DurationDiscriminator

#: Names of coqui's discriminators and of torch's present weight norm -> those of the original.
_DISCRIMINATOR_NAMES = ((r"^nets\.", "discriminators."),)


@dataclass(frozen=True)
class Start:
    """A generator with its symbols and speakers; judges are None where they start fresh."""

    checkpoint: Checkpoint
    discriminator: Mapping[str, Tensor] | None = None
    durations: Mapping[str, Tensor] | None = None
    #: The weights were trained before: fine-tuning has a lower rate and fewer steps.
    trained: bool = False


def start_from(path: Path, speakers: Sequence[str]) -> Start:
    """From the model at ``path``, its speaker table fitted to ``speakers``. Raises ModelFilesInvalid, InvalidRequest."""
    checkpoint = read_checkpoint(path)
    discriminator, durations = judges_beside(path, checkpoint)
    return Start(
        fit_speakers(checkpoint, speakers), discriminator.state_dict() if discriminator else None,
        durations.state_dict() if durations else None, trained=True,
    )  # fmt: skip


def start_fresh(checkpoint: Checkpoint, seed: int) -> Start:
    """Fresh weights of ``checkpoint``'s configuration; its tensors are not looked at."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tensors = Vits(checkpoint.config).state_dict()
    return Start(replace(checkpoint, tensors=old_spelling(tensors)))


def judges_beside(
    path: Path, checkpoint: Checkpoint
) -> tuple[MultiPeriodDiscriminator | None, DurationDiscriminator | None]:
    """The discriminators inside the checkpoint or in D_*.pth and DUR_*.pth beside it; None where there are none.

    Those with the generator's number are taken, else the newest. Raises ModelFilesInvalid where one is damaged.
    """
    folder = path if path.is_dir() else path.parent
    state = checkpoint.training.get("discriminator")
    if state is None:
        state = _tensors_beside(folder, "D", checkpoint)
    durations = _tensors_beside(folder, "DUR", checkpoint)
    return (
        MultiPeriodDiscriminator.from_state(_original_names(state)) if state else None,
        DurationDiscriminator.from_state(durations) if durations else None,
    )


def _original_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in old_spelling(state).items():
        for pattern, replacement in _DISCRIMINATOR_NAMES:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed


def _tensors_beside(folder: Path, letter: str, checkpoint: Checkpoint) -> dict[str, Tensor] | None:
    files = {match[1]: file for file in folder.glob(f"{letter}_*.pth") if (match := re.search(r"_(\d+)\.pth$", file.name))}
    if not files:
        return None
    number = re.search(r"_(\d+)\.pth$", checkpoint.files[0] if checkpoint.files else "")
    chosen = files.get(number[1]) if number else None
    file = chosen or files[max(files, key=int)]
    return find_tensors(read_payload(file), file.name)


# -- speakers --------------------------------------------------------------------------------------------------------


def fit_speakers(checkpoint: Checkpoint, speakers: Sequence[str]) -> Checkpoint:
    """``checkpoint`` with a row of its table for each of ``speakers``.

    Known names keep their rows. A new name gets the average of all rows: a voice nobody has yet, which training turns
    into the new one. Models that take vectors stay as they are. Raises InvalidRequest for several speakers where the
    model has one voice.
    """
    config = checkpoint.config
    if config.speaker_kind is SpeakerKind.VECTOR:
        return checkpoint
    if config.speaker_kind is SpeakerKind.ONE:
        if len(speakers) > 1:
            raise InvalidRequest(
                f"the model has one voice, the corpus {len(speakers)} speakers: {', '.join(speakers[:6])}.",
                field="speaker",
                hint="Choose one with --speaker, or start from a model with several.",
            )
        return checkpoint
    table = checkpoint.tensors["emb_g.weight"].float()
    names = speaker_names(checkpoint)
    new = [name for name in speakers if name not in names]
    if not new:
        return replace(checkpoint, speakers=tuple(names))
    grown = torch.cat((table, table.mean(dim=0, keepdim=True).expand(len(new), -1)))
    return replace(
        checkpoint, tensors={**checkpoint.tensors, "emb_g.weight": grown}, speakers=(*names, *new),
        config=replace(config, speakers=len(grown)),
    )  # fmt: skip


def speaker_names(checkpoint: Checkpoint) -> list[str]:
    """A name for each row of the table: the checkpoint's, or its number."""
    known = list(checkpoint.speakers)
    return [known[row] if row < len(known) else str(row) for row in range(checkpoint.config.speakers)]


def speaker_inputs(checkpoint: Checkpoint, vectors: Path | None) -> dict[str, int | Tensor] | None:
    """What the model is told of each speaker, by name; None where it has one voice.

    ``vectors`` is a file of names with lists of numbers: JSON, or coqui's speakers.pth. Raises InvalidRequest where a
    model of vectors is given none.
    """
    config = checkpoint.config
    if config.speaker_kind is SpeakerKind.ONE:
        return None
    if config.speaker_kind is SpeakerKind.NUMBER:
        return {name: row for row, name in enumerate(speaker_names(checkpoint))}
    if vectors is None:
        raise InvalidRequest(
            "the model is told who speaks by a vector, and no vectors were given.",
            field="speaker_vectors",
            hint="Give --speaker-vectors FILE: JSON of speaker names with lists of numbers, or coqui's speakers.pth.",
        )
    return _read_vectors(vectors, config)


def _read_vectors(path: Path, config: VitsConfig) -> dict[str, int | Tensor]:
    from voiceclone.checkpoints import read_json

    data: Any = read_json(path) if path.suffix == ".json" else read_payload(path)
    gathered: dict[str, list[Tensor]] = {}
    for key, value in data.items():
        name, numbers = (value.get("name", key), value.get("embedding")) if isinstance(value, Mapping) else (key, value)
        try:
            vector = torch.as_tensor(numbers, dtype=torch.float32).flatten()
        except (TypeError, ValueError, RuntimeError) as error:
            raise ModelFilesInvalid(f"{path.name}: {key!r} is no list of numbers: {error}.") from error
        if len(vector) != config.speaker_channels:
            raise ModelFilesInvalid(
                f"{path.name}: {key!r} has {len(vector)} numbers, the model takes {config.speaker_channels}."
            )
        gathered.setdefault(str(name), []).append(vector)
    return {name: torch.stack(rows).mean(dim=0) for name, rows in gathered.items()}
