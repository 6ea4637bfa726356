"""Recordings on disk, named by the SHA-256 of their bytes: a file is there whole or not at all."""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from voiceclone.errors import StoreError

if TYPE_CHECKING:
    from voiceclone.types import Samples

#: The recording as it came.
_ORIGINAL = ".bin"
#: What it decodes to. NumPy's format, because a read then needs no codec and gives back each float exactly, which FLAC
#: (integers only) would not; and the untrusted bytes are decoded once, at enrolment.
_DECODED = ".npy"
_TEMPORARY = ".part-"


class BlobFolder:
    """A folder ``ab/abcdef....{bin,npy}``; readable by its owner only, for recordings are biometric data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_private(folder)

    def write(self, sha256: str, original: bytes, decoded: Samples) -> None:
        """Store a recording and its float32 samples ``[T]``; on return both would survive a power cut."""
        encoded = io.BytesIO()
        np.save(encoded, decoded, allow_pickle=False)
        shelf = self._shelf(sha256)
        make_private(shelf)
        for suffix, data in ((_ORIGINAL, original), (_DECODED, encoded.getvalue())):
            path = shelf / (sha256 + suffix)
            if not path.exists():
                _write_whole(path, data)
        _sync_folder(shelf)

    def has(self, sha256: str) -> bool:
        """Return whether a recording is there with its samples."""
        return all((self._shelf(sha256) / (sha256 + suffix)).exists() for suffix in (_ORIGINAL, _DECODED))

    def original(self, sha256: str) -> bytes:
        """Return the recording's bytes as they came. Raises StoreError where they are gone."""
        return _read(self._shelf(sha256) / (sha256 + _ORIGINAL))

    def decoded(self, sha256: str) -> Samples:
        """Return the recording's float32 samples ``[T]``. Raises StoreError where they are gone."""
        data = io.BytesIO(_read(self._shelf(sha256) / (sha256 + _DECODED)))
        samples: Samples = np.load(data, allow_pickle=False)
        return samples

    def remove(self, sha256: str) -> None:
        """Delete a recording; nothing happens where there is none."""
        for suffix in (_ORIGINAL, _DECODED):
            (self._shelf(sha256) / (sha256 + suffix)).unlink(missing_ok=True)

    def collect(self, wanted: Callable[[set[str]], Iterable[str]], older_than: float) -> int:
        """Delete files older than so many seconds that no row wants, and unfinished writes; return how many.

        ``wanted`` gets the hashes found and returns those to keep. The caller holds the store's write lock.
        """
        before = time.time() - older_than
        old: dict[str, list[Path]] = {}
        removed = 0
        for path in self._folder.glob("??/*"):
            try:
                if path.stat().st_mtime >= before:
                    continue
                if path.name.startswith(_TEMPORARY):
                    path.unlink()
                    removed += 1
                else:
                    old.setdefault(path.stem, []).append(path)
            except FileNotFoundError:  # another process renamed or removed it
                continue
        for sha256 in set(old) - set(wanted(set(old))):
            for path in old[sha256]:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _shelf(self, sha256: str) -> Path:
        return self._folder / sha256[:2]


def make_private(folder: Path) -> None:
    """Make a folder, and those above it, for the owner only; folders that exist keep their mode. Raises StoreError."""
    try:
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for step in reversed(missing):
            step.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The voice store's folder cannot be made: {error.strerror}.",
            hint="Set VOICECLONE_HOME to a folder that this user may write.",
        ) from error


def _write_whole(path: Path, data: bytes) -> None:
    try:
        handle, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)  # mode 0600
        try:
            with open(handle, "wb") as file:
                file.write(data)
                _sync(file)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(f"A recording cannot be written: {error.strerror}.", hint="Check the disk.") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"A stored recording cannot be read: {error.strerror}.", hint="Restore the store from a backup."
        ) from error


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make renames inside a folder, and the folder itself, durable."""
    if os.name == "nt":  # Windows cannot open a folder; its renames are journalled
        return
    for each in (folder, folder.parent):
        handle = os.open(each, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
