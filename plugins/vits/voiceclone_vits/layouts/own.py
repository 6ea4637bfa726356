"""This project's own layout: model.safetensors and vits.json, written by :func:`write` and read without any guess."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from voiceclone.checkpoints import find_tensors, read_json, read_payload
from voiceclone.errors import ModelFilesInvalid
from voiceclone_vits.checkpoint import Checkpoint
from voiceclone_vits.config import VitsConfig
from voiceclone_vits.symbols import SymbolTable

FORMAT = "voiceclone-vits"
WEIGHTS, DESCRIPTION = "model.safetensors", "vits.json"


@dataclass(frozen=True)
class Found:
    """The folder with both files."""

    folder: Path


def find(path: Path) -> Found | None:
    """A model of this project at ``path``; None where this layout is not there."""
    folder = path if path.is_dir() else path.parent
    return Found(folder) if (folder / DESCRIPTION).is_file() and (path.is_dir() or path.name == WEIGHTS) else None


def read(found: Found) -> Checkpoint:
    """Raises ModelFilesInvalid."""
    data = read_json(found.folder / DESCRIPTION)
    if data.get("format") != FORMAT:
        raise ModelFilesInvalid(f"{DESCRIPTION} has the format {data.get('format')!r}, expected {FORMAT!r}.")
    return Checkpoint(
        str(data.get("layout", FORMAT)),
        VitsConfig.from_json(json.dumps(data.get("config"))),
        find_tensors(read_payload(found.folder / WEIGHTS), WEIGHTS),
        SymbolTable.from_data(data.get("symbols") or {}),
        tuple(map(str, data.get("speakers") or ())),
        tuple(map(str, data.get("languages") or ())),
        files=(WEIGHTS, DESCRIPTION),
    )


def write(checkpoint: Checkpoint, folder: Path) -> None:
    """Keep ``checkpoint`` (the generator alone) in ``folder``, which is made where it is not there."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in checkpoint.tensors.items()}, folder / WEIGHTS)
    described = {
        "format": FORMAT, "layout": checkpoint.layout, "config": asdict(checkpoint.config),
        "symbols": checkpoint.symbols.as_data(), "speakers": checkpoint.speakers, "languages": checkpoint.languages,
    }  # fmt: skip
    (folder / DESCRIPTION).write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", "utf-8")
