"""Training checkpoints: safetensors and JSON in a folder that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from voiceclone.errors import ModelFilesInvalid

_PREFIX = "step-"


def save_checkpoint(
    folder: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any], *, keep: int = 2
) -> Path:
    """Write ``folder/step-N`` with one ``<name>.safetensors`` per entry of ``tensors`` and ``state.json``.

    Older checkpoints beyond ``keep`` are removed once the new one is on disk.
    """
    target = folder / f"{_PREFIX}{step:08d}"
    write_whole(target, tensors, {**state, "step": step})
    for old in list_checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def write_whole(target: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
    """Write a checkpoint folder beside ``target`` and rename it into place."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, entries in tensors.items():
        save_file({key: value.detach().contiguous() for key, value in entries.items()}, partial / f"{name}.safetensors")
    (partial / "state.json").write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    for file in partial.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def list_checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints below ``folder``, oldest first."""
    found = (path for path in folder.glob(f"{_PREFIX}*") if path.is_dir() and not path.name.endswith(".partial"))
    return sorted(path for path in found if (path / "state.json").is_file())


def load_state(checkpoint: Path) -> dict[str, Any]:
    """The JSON part of a checkpoint. Raises ModelFilesInvalid."""
    try:
        state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFilesInvalid(
            f"checkpoint {checkpoint.name} cannot be read: {error}.",
            hint="Delete that folder to resume from the one before.",
        ) from error
    return state


def load_tensors(checkpoint: Path, name: str, device: str | torch.device = "cpu") -> dict[str, Tensor]:
    """One tensor file of a checkpoint. Raises ModelFilesInvalid."""
    path = checkpoint / f"{name}.safetensors"
    try:
        return load_file(path, device=str(device))
    except Exception as error:  # safetensors raises its own type for damage and OSError for absence
        raise ModelFilesInvalid(f"{checkpoint.name}/{path.name} cannot be read: {error}.") from error


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Optimizer state as flat tensors: ``<parameter index>.<key>``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{key}": value if isinstance(value, Tensor) else torch.tensor(value)
        for index, entries in state.items()
        for key, value in entries.items()
    }


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Inverse of :func:`optimizer_tensors` for an optimizer over the same parameters."""
    full = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    full["state"] = state
    optimizer.load_state_dict(full)
