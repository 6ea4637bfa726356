"""Name -> loaded model: which models there are, in what state, and on which device; blocking and thread-safe."""

from __future__ import annotations

import importlib
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, cast

from voiceclone.backend import BackendStatus, Model
from voiceclone.device import pick_device
from voiceclone.errors import (
    DeviceOutOfMemory,
    ModelFilesInvalid,
    ModelNotFound,
    ModelNotLoaded,
    PluginError,
    VoicecloneError,
    describe,
    is_out_of_memory,
)
from voiceclone.models import ModelStore
from voiceclone.plugins import Plugins
from voiceclone.types import BackendInfo, Capabilities, Isolation, ModelInfo

log = logging.getLogger(__name__)

#: Backends whose models are taken when a caller names none, best first; any other follows in order of discovery.
PREFERRED_BACKENDS = ("fastspeech2",)


class ModelState(str, Enum):
    """Where a model stands between the disk and the first word."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model as callers see it; ``option_schema`` (JSON Schema) and ``capabilities`` are there once it is loaded."""

    info: ModelInfo
    state: ModelState
    error: str | None = None
    device: str = ""
    memory_bytes: int = 0
    capabilities: Capabilities | None = None
    option_schema: str = ""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model ready to speak on ``device``."""

    info: ModelInfo
    model: Model
    device: str

    @property
    def key(self) -> str:
        """What caches and scheduling know the model by."""
        return f"{self.info.name}@{self.info.revision}"


@dataclass
class _Entry:
    info: ModelInfo
    backend: BackendInfo | None
    #: Why the model can never be loaded in this process.
    broken: str | None = None
    state: ModelState = ModelState.UNLOADED
    error: str | None = None
    loaded: LoadedModel | None = None
    option_schema: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Registry:
    """The models of the plugins and of the user's store. Nothing heavy is imported before the first ``load``."""

    def __init__(self, plugins: Plugins, *, store: ModelStore | None = None, device: str = "auto") -> None:
        self._backends = plugins.backends()
        self._store = store
        self._device = device
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        for status in self._backends:
            for info in status.info.models if status.info else ():
                self._enter(info, status)
        self.refresh()

    def refresh(self) -> None:
        """Take in models that were added to the store since."""
        usable = {status.info.name: status for status in self._backends if status.info and not status.error}
        for record in self._store.records() if self._store else ():
            if isinstance(record, tuple):
                name, reason = record
                broken = ModelInfo(name=name, backend="", revision="")
                self._enter(broken, BackendStatus(None, "", reason))
            else:
                info = record.info
                missing = BackendStatus(None, "", f"its backend {info.backend!r} is not installed.")
                self._enter(info, usable.get(info.backend, missing))

    def _enter(self, info: ModelInfo, status: BackendStatus) -> None:
        with self._lock:
            known = self._entries.get(info.name)
            if known is None:
                self._entries[info.name] = _Entry(info, status.info, status.error)
            elif known.info != info:
                log.warning("model name %r is taken by backend %r, which keeps it", info.name, known.info.backend)

    def backends(self) -> list[BackendStatus]:
        return list(self._backends)

    def models(self) -> list[ModelStatus]:
        with self._lock:
            entries = list(self._entries.values())
        return [_status(entry) for entry in entries]

    def status(self, name: str) -> ModelStatus:
        """Raises ModelNotFound, which names the models there are."""
        return _status(self._entry(name))

    def get(self, name: str) -> LoadedModel | None:
        """The model if it is ready, else None. Raises ModelNotFound."""
        entry = self._entry(name)
        return entry.loaded if entry.state is ModelState.READY else None

    def default_model(self) -> str:
        """The model meant when a caller names none. Raises ModelNotFound where no model can be used."""
        with self._lock:
            usable = [entry.info for entry in self._entries.values() if entry.broken is None]
        if not usable:
            raise ModelNotFound("", "no model is installed.", hint="`voiceclone backends` shows what was found.")
        preferred = [info for name in PREFERRED_BACKENDS for info in usable if info.backend == name]
        return (preferred or usable)[0].name

    def load(self, name: str, device: str | None = None) -> LoadedModel:
        """Load the model, or return it where that is done. Blocks; one load at a time a model.

        Raises ModelNotFound, PluginError, ModelFilesInvalid, DeviceOutOfMemory; the reason stays in ``status``.
        """
        entry = self._entry(name)
        with entry.lock:
            if entry.loaded is not None:
                return entry.loaded
            entry.state, entry.error = ModelState.LOADING, None
            try:
                loaded, entry.option_schema = _load(entry, device or self._device)
            except BaseException as error:
                failure = _load_failure(entry.info.name, error)
                entry.state, entry.error = ModelState.FAILED, str(failure)
                if not isinstance(error, Exception | SystemExit):
                    raise
                log.warning("model %s failed to load", name, exc_info=error)
                raise failure from error
            entry.loaded, entry.state = loaded, ModelState.READY
            return loaded

    def unload(self, name: str) -> None:
        """Free the model; nothing happens where it is not loaded. No stream may be using it: see ``Engine.evict``."""
        entry = self._entry(name)
        with entry.lock:
            if entry.loaded is None:
                entry.state, entry.error = ModelState.UNLOADED, None
                return
            entry.state = ModelState.DRAINING
            model, entry.loaded = entry.loaded.model, None
            try:
                model.close()
            except Exception as error:
                log.warning("model %s failed to close", name, exc_info=error)
            entry.state, entry.error, entry.option_schema = ModelState.UNLOADED, None, ""

    def _entry(self, name: str) -> _Entry:
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                hint = f"Models here: {', '.join(self._entries) or 'none'}."
                raise ModelNotFound(name, hint=hint)
            return entry


def _status(entry: _Entry) -> ModelStatus:
    loaded = entry.loaded
    if entry.broken is not None:
        return ModelStatus(entry.info, ModelState.FAILED, entry.broken)
    if loaded is None:
        return ModelStatus(entry.info, entry.state, entry.error)
    try:
        memory = int(loaded.model.memory_bytes())
    except Exception as error:  # a figure for show must not break a listing
        log.warning("model %s cannot say what memory it uses", entry.info.name, exc_info=error)
        memory = 0
    return ModelStatus(
        entry.info, entry.state, entry.error, loaded.device, memory, loaded.model.capabilities, entry.option_schema
    )


def _load(entry: _Entry, device: str) -> tuple[LoadedModel, str]:
    """Import the backend's factory and call it; returns the model and its option schema."""
    if entry.broken is not None or entry.backend is None:
        raise PluginError(f"model {entry.info.name!r} cannot be used: {entry.broken}")
    if entry.backend.isolation is Isolation.PROCESS:
        log.warning("backend %s asks for a process of its own; it runs in a thread here", entry.backend.name)
    device = pick_device(device, entry.backend.devices)
    module, _, attribute = entry.backend.factory.partition(":")
    factory = cast("Callable[[ModelInfo, str], Any]", getattr(importlib.import_module(module), attribute))
    model = factory(entry.info, device)
    if not isinstance(model, Model):
        missing = sorted(name for name in _MODEL_NAMES if not hasattr(model, name))
        raise PluginError(f"backend {entry.backend.name!r} gave a model without {', '.join(missing)}.")
    if not isinstance(model.capabilities, Capabilities):
        raise PluginError(f"backend {entry.backend.name!r} gave a model whose capabilities are no Capabilities.")
    return LoadedModel(entry.info, model, device), json.dumps(model.options.model_json_schema(), ensure_ascii=False)


_MODEL_NAMES = (
    "capabilities", "options", "encode_voice", "open", "step", "release", "warm_up", "memory_bytes", "close",
)  # fmt: skip


def _load_failure(name: str, error: BaseException) -> VoicecloneError:
    """The typed form of what went wrong while model ``name`` was loaded."""
    if isinstance(error, VoicecloneError):
        return error
    if is_out_of_memory(error):
        return DeviceOutOfMemory(f"model {name!r} does not fit into the memory.", hint="Unload another one first.")
    if isinstance(error, ImportError):
        return PluginError(f"model {name!r} needs something that is not installed: {describe(error)}")
    if isinstance(error, OSError):
        return ModelFilesInvalid(f"the files of model {name!r} cannot be read: {describe(error)}")
    return PluginError(f"model {name!r} failed to load: {describe(error)}")


def require(registry: Registry, name: str) -> LoadedModel:
    """The model if it is ready. Raises ModelNotFound, or ModelNotLoaded saying what it is instead."""
    loaded = registry.get(name)
    if loaded is None:
        status = registry.status(name)
        raise ModelNotLoaded(f"model {name!r} is {status.state.value}.", hint=status.error or "")
    return loaded
