"""Weight files to plain data: safetensors, and torch's pickles through an allow-list of harmless types."""

from __future__ import annotations

import argparse
import collections
import io
import json
import pickle
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.errors import ModelFilesInvalid, describe

if TYPE_CHECKING:
    from collections.abc import Callable


class Record:
    """Stands in for a foreign configuration object: whatever attributes it was stored with, and no code."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        self.arguments = arguments
        self.__dict__.update(attributes)


def _posix(*parts: str) -> str:
    return "/".join(parts)


def _windows(*parts: str) -> str:
    return "\\".join(parts)


#: Types that trainers put beside weights, by the names their pickles use, and what is read instead of each.
_HARMLESS: dict[str, Any] = {
    "pathlib.PosixPath": _posix,
    "pathlib.PurePosixPath": _posix,
    "pathlib.Path": _posix,
    "pathlib._local.PosixPath": _posix,
    "pathlib.WindowsPath": _windows,
    "pathlib._local.WindowsPath": _windows,
    "argparse.Namespace": argparse.Namespace,
    "pytorch_lightning.utilities.parsing.AttributeDict": collections.OrderedDict,
    "lightning.pytorch.utilities.parsing.AttributeDict": collections.OrderedDict,
    "lightning_fabric.utilities.data.AttributeDict": collections.OrderedDict,
    "lightning.fabric.utilities.data.AttributeDict": collections.OrderedDict,
    "utils.HParams": Record,
}


def read_payload(path: Path, records: Iterable[str] = (), heads: Iterable[bytes] = ()) -> Any:
    """What ``path`` holds: a dict of tensors (safetensors), or what was pickled with ``torch.save``, on the CPU.

    ``records`` are further qualified names of classes to read as :class:`Record`; ``heads`` are pairs of bytes that
    some trainers write over the first two of torch's archive to mark what is inside. Raises ModelFilesInvalid for a
    file that is missing, damaged, of another format, or that names code outside the allow-list: nothing of it is
    run.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise ModelFilesInvalid(f"{path.name} cannot be read: {describe(error)}") from error
    if not head:
        raise ModelFilesInvalid(f"{path.name} is empty.", hint="Download it again.")
    if head.startswith(b"version https://"):
        raise ModelFilesInvalid(
            f"{path.name} is a Git LFS pointer, not the weights.", hint="Fetch it with `git lfs pull`."
        )
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return _safetensors(path)
    if head.startswith(b"PK") or head[:1] == b"\x80":
        return _pickled(path, path, records)
    if head[:2] in tuple(heads):
        return _pickled(io.BytesIO(b"PK" + path.read_bytes()[2:]), path, records)
    raise ModelFilesInvalid(
        f"{path.name} is no weight file: it begins with {head[:8]!r}.",
        hint="Expected safetensors, or a file of torch.save (.pth, .pt, .ckpt, .bin).",
    )


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFilesInvalid(f"{path.name} is damaged: {describe(error)}.", hint="Download it again.") from error


def _pickled(source: Path | io.BytesIO, path: Path, records: Iterable[str]) -> Any:
    import torch

    allowed: dict[str, Any] = {**_HARMLESS, **dict.fromkeys(records, Record)}
    names: list[Callable[..., Any] | tuple[Any, str]] = [(value, name) for name, value in allowed.items()]
    names += _numpy_types()
    try:
        with torch.serialization.safe_globals(names):
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from error
    # A file cut short or overwritten fails in as many ways as there are bytes.
    except Exception as error:
        raise ModelFilesInvalid(
            f"{path.name} is damaged: {describe(error)[:200]}.", hint="Download it again."
        ) from error


def _numpy_types() -> list[Any]:
    """What a NumPy number or array needs; trainers store losses and steps as such."""
    import numpy as np

    builders: list[Any] = [np.zeros(0).__reduce__()[0], np.float64(0.0).__reduce__()[0]]
    kinds = [type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "u1", "?")]
    named = [(value, f"numpy.{core}.multiarray.{value.__name__}") for value in builders
             for core in ("core", "_core")]  # fmt: skip
    return [*named, np.ndarray, np.dtype, *kinds]


def _refused(path: Path, error: Exception) -> ModelFilesInvalid:
    text = str(error)
    named = re.search(r"(?:GLOBAL|global)\s+['`]?([\w.]+)", text)
    if named and ("not an allowed" in text or "Unsupported" in text or "unsupported" in text):
        return ModelFilesInvalid(
            f"{path.name} wants {named[1]} to be run when it is read, which can be harmful.",
            hint="Ask its author for safetensors, or export the weights alone where the file comes from.",
        )
    return ModelFilesInvalid(f"{path.name} is damaged or no weight file: {describe(error)[:200]}.")


def read_json(path: Path) -> dict[str, Any]:
    """The object in ``path``. Raises ModelFilesInvalid."""
    try:
        data = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError as error:
        raise ModelFilesInvalid(f"{path.name} is missing.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFilesInvalid(f"{path.name} is no JSON: {describe(error)}.") from error
    if not isinstance(data, dict):
        raise ModelFilesInvalid(f"{path.name} holds a {type(data).__name__}, not an object.")
    return data
