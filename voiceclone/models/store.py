"""The models a user added: one JSON record a model, its files listed with size and SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from voiceclone.errors import AlreadyExists, InvalidRequest, ModelFilesInvalid, ModelNotFound, StoreError, describe
from voiceclone.types import ModelInfo

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
#: Loading any of these can run code hidden in them.
PICKLED = frozenset((".bin", ".ckpt", ".pkl", ".pickle", ".pt", ".pth", ".th"))


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model as stored: ``files`` maps a path relative to ``info.path`` to (bytes, SHA-256 in hex)."""

    info: ModelInfo
    files: dict[str, tuple[int, str]] = field(default_factory=dict)


def data_home() -> Path:
    """Folder of everything voiceclone keeps for this user; ``VOICECLONE_HOME`` overrides it."""
    home = os.environ.get("VOICECLONE_HOME")
    if home:
        return Path(home)
    from platformdirs import user_data_dir

    return Path(user_data_dir("voiceclone", appauthor=False))


class ModelStore:
    """Records of added models in ``directory``; each is written whole or not at all, by any number of processes."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or data_home() / "models"

    def add(self, info: ModelInfo, names: Sequence[str] = ()) -> ModelRecord:
        """Keep ``info``. An empty ``revision`` becomes a digest of the files under ``info.path``.

        ``names`` are the files that a backend has read and found harmless; without them all are listed, and a pickle
        is refused. Raises InvalidRequest on a bad name, AlreadyExists on a taken one, ModelFilesInvalid where the files
        are missing or hold a pickle.
        """
        self._check_name(info.name)
        if self._file(info.name).exists():
            raise AlreadyExists("model", info.name, hint=f"`voiceclone models remove {info.name}` first.")
        files: dict[str, tuple[int, str]] = {}
        if info.path is not None:
            path = Path(info.path).resolve()
            listed = _named(path, names) if names else _walk(path)
            files = {name: _digest(file) for name, file in listed}
            if not files:
                raise ModelFilesInvalid(f"model {info.name!r}: there are no files at {path.name!r}.")
            info = replace(info, path=str(path))
        if not info.revision:
            info = replace(info, revision=hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()[:12])
        record = ModelRecord(info, files)
        self._write(record)
        return record

    def get(self, name: str) -> ModelRecord:
        """Raises ModelNotFound, or StoreError where the record is damaged."""
        self._check_name(name)
        try:
            data = json.loads(self._file(name).read_text("utf-8"))
            files = {key: (int(size), str(digest)) for key, (size, digest) in data["files"].items()}
            return ModelRecord(ModelInfo(**data["info"]), files)
        except FileNotFoundError:
            raise ModelNotFound(name, hint=f"Added models: {', '.join(self.names()) or 'none'}.") from None
        except OSError as error:
            raise StoreError(f"the record of model {name!r} cannot be read: {describe(error)}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(
                f"the record of model {name!r} is damaged: {describe(error)}.",
                hint=f"`voiceclone models remove {name}` and add it again.",
            ) from error

    def names(self) -> list[str]:
        try:
            return sorted(file.stem for file in self.directory.glob("*.json") if NAME.fullmatch(file.stem))
        except OSError:
            return []

    def records(self) -> Iterator[ModelRecord | tuple[str, str]]:
        """Every record, or (name, reason) for one that cannot be read: a damaged one hides no other."""
        for name in self.names():
            try:
                yield self.get(name)
            except (StoreError, ModelNotFound) as error:
                yield name, str(error)

    def verify(self, name: str) -> ModelRecord:
        """Read every file again and compare; raises ModelFilesInvalid naming the first that differs."""
        record = self.get(name)
        if record.info.path is None:
            return record
        for relative, file in _named(Path(record.info.path), sorted(record.files)):
            if not file.is_file():
                raise ModelFilesInvalid(f"model {name!r}: {relative} is missing.", hint="Add the model again.")
            if _digest(file) != record.files[relative]:
                raise ModelFilesInvalid(f"model {name!r}: {relative} has changed since it was added.")
        return record

    def remove(self, name: str) -> None:
        """Forget the model; its files stay where they are."""
        self._check_name(name)
        try:
            self._file(name).unlink()
        except FileNotFoundError:
            raise ModelNotFound(name, hint=f"Added models: {', '.join(self.names()) or 'none'}.") from None

    @staticmethod
    def _check_name(name: str) -> None:
        if not NAME.fullmatch(name):
            hint = "Use up to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit."
            raise InvalidRequest(f"{name!r} is no model name.", field="name", hint=hint)

    def _file(self, name: str) -> Path:
        return self.directory / f"{name}.json"

    def _write(self, record: ModelRecord) -> None:
        data: dict[str, Any] = {"info": asdict(record.info), "files": record.files}
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self.directory, delete=False, encoding="utf-8") as file:
                json.dump(data, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(file.name, self._file(record.info.name))  # unlike a rename, never replaces another's record
            except FileExistsError:
                raise AlreadyExists("model", record.info.name) from None
            finally:
                os.unlink(file.name)
        except OSError as error:
            raise StoreError(f"model {record.info.name!r} cannot be kept: {describe(error)}") from error


def _named(path: Path, names: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield (name, file) of ``names`` under ``path``, or beside it where it is a file."""
    root = path.parent if path.is_file() else path
    for name in names:
        yield name, root / name


def _walk(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield (relative name, file) under ``path``, a folder or one file; hidden files are left out."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    root = path.parent if path.is_file() else path
    for file in files:
        relative = file.relative_to(root)
        if not file.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        if file.suffix.lower() in PICKLED:
            raise ModelFilesInvalid(
                f"{relative.as_posix()} is a pickle, which can run code when it is read.",
                hint="Convert it to safetensors first.",
            )
        yield relative.as_posix(), file


def _digest(file: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 in hex of ``file``."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
            return stream.tell(), digest.hexdigest()
    except OSError as error:
        raise ModelFilesInvalid(f"{file.name} cannot be read: {describe(error)}") from error
