"""Where a model comes from when it is added: a path, or a repository of the Hugging Face hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.errors import InvalidRequest, ModelFilesInvalid
from voiceclone.models import hub
from voiceclone.types import ModelInfo, Recognised

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from voiceclone.backend import BackendStatus

    class Plugins(Protocol):
        """What is needed of :class:`voiceclone.plugins.Plugins`, which stands above this layer."""

        def backends(self) -> Sequence[BackendStatus]: ...

        def recognise(self, path: Path) -> Recognised | None: ...


HUB = "hf:"


@dataclass(frozen=True, slots=True)
class Located:
    """A model about to be added, and the files its backend reads; no files: all that are there."""

    info: ModelInfo
    files: tuple[str, ...] = ()


def located(source: str, plugins: Plugins, *, name: str = "", backend: str = "") -> Located:
    """Find the model at ``source``, a path or ``hf:org/name``, and the backend that speaks it.

    Raises InvalidRequest for an unknown backend or path, ModelFilesInvalid where nobody knows the files or they are
    damaged, and StoreError where the hub cannot be reached.
    """
    known = [status.info.name for status in plugins.backends() if status.info]
    if backend and backend not in known:
        raise InvalidRequest(f"There is no backend {backend!r}.", hint=f"There are: {', '.join(known)}.")
    licence, revision = "", ""
    if source.startswith(HUB):
        fetched = hub.download(source.removeprefix(HUB))
        path, licence, revision = fetched.path, fetched.licence, fetched.revision
    else:
        path = Path(source)
        if not path.exists():
            raise InvalidRequest(f"There is nothing at {source!r}.", field="source", hint="A hub model is hf:org/name.")
    found = plugins.recognise(path)
    if backend and (found is None or found.backend != backend):
        found = None
    elif found is None:
        raise ModelFilesInvalid(
            f"no backend knows the weights in {path.name!r}.",
            hint=f"Name the one that does with --backend; there are: {', '.join(known)}.",
        )
    info = ModelInfo(
        name or slug(path.name if path.is_dir() else path.stem), backend or (found.backend if found else ""), revision,
        found.summary if found else "", licence, str(path.resolve()),
    )  # fmt: skip
    return Located(info, found.files if found else ())


def slug(text: str) -> str:
    """``text`` as a model's name: small letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-") or "model"
