"""The voices and models that requests name: loaded on demand, kept in bounded caches, fetched off the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from voiceclone.engine import Engine
from voiceclone.errors import ModelNotLoaded, VoicecloneError, VoiceIncompatible
from voiceclone.registry import LoadedModel, Registry
from voiceclone.server.interceptor import CALL
from voiceclone.server.settings import Settings
from voiceclone.types import Capabilities, Reference
from voiceclone.voices import Voice, VoiceStore

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: Seconds that a request leaves for speaking when it waits for a model.
_RESERVE = 0.5
#: Seconds after a failed load in which requests are told of it instead of trying again.
_FAILED_SECONDS = 10.0


class Cache(Generic[K, V]):
    """The last ``size`` values, each at most ``seconds`` old."""

    def __init__(self, size: int, seconds: float = float("inf")) -> None:
        self.size = size
        self.seconds = seconds
        self._values: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        entry = self._values.get(key)
        if entry is None or time.monotonic() - entry[0] > self.seconds:
            return None
        self._values.move_to_end(key)
        return entry[1]

    def put(self, key: K, value: V) -> None:
        self._values[key] = (time.monotonic(), value)
        self._values.move_to_end(key)
        while len(self._values) > self.size:
            self._values.popitem(last=False)

    def drop(self, wanted: Callable[[K], bool]) -> None:
        for key in [key for key in self._values if wanted(key)]:
            del self._values[key]


@dataclass(frozen=True, slots=True)
class VoiceData:
    """A voice in one model's terms, and a digest of the recordings it was made of."""

    conditioning: bytes
    digest: str


class Catalogue:
    """Looks up voices, models and conditionings for requests; used on one event loop."""

    def __init__(self, registry: Registry, store: VoiceStore, engine: Engine, settings: Settings) -> None:
        self.registry = registry
        self.store = store
        self.engine = engine
        self.settings = settings
        self._voices: Cache[str, Voice] = Cache(settings.voice_cache, settings.voice_cache_seconds)
        self._data: Cache[tuple[str, str, str], VoiceData] = Cache(settings.voice_cache)
        self._finding: dict[tuple[str, str, str], asyncio.Future[VoiceData]] = {}
        self._loading: dict[str, asyncio.Future[LoadedModel]] = {}
        self._failed: Cache[str, str] = Cache(64, _FAILED_SECONDS)
        # Loads take long and must not keep the store's short calls waiting for a thread.
        self._loaders = ThreadPoolExecutor(4, "voiceclone-load")
        #: Models that take no new speech because they are about to be unloaded.
        self.draining: set[str] = set()

    async def voice(self, name: str) -> Voice:
        """The voice, allowed to speak. Raises VoiceNotFound, ConsentRequired, ConsentRevoked."""
        voice = self._voices.get(name)
        if voice is None:
            voice = await asyncio.to_thread(self.store.get_voice, name)
            self._voices.put(name, voice)
        try:
            self.store.require_usable(voice)
        except Exception:
            self.forget(name)
            raise
        return voice

    def voice_at_hand(self, name: str) -> Voice | None:
        """The voice where it is known without waiting. Raises ConsentRequired, ConsentRevoked."""
        voice = self._voices.get(name)
        if voice is not None:
            self.store.require_usable(voice)
        return voice

    def model_at_hand(self, name: str) -> LoadedModel | None:
        """The model where it is ready. Raises ModelNotFound."""
        return None if name in self.draining else self.registry.get(name)

    def forget(self, name: str) -> None:
        """Drop all that is kept of voice ``name``: it was changed."""
        self._voices.drop(lambda key: key == name)
        self._data.drop(lambda key: key[0] == name)

    async def model(self, name: str) -> LoadedModel:
        """The model, loaded first where it is not; waits no longer than the call may last.

        Raises ModelNotFound, ModelNotLoaded, and what a failed load raises.
        """
        if name in self.draining:
            raise ModelNotLoaded(f"model {name!r} is being unloaded.", retry_after=2.0)
        loaded = self.registry.get(name)
        if loaded is not None:
            return loaded
        if failure := self._failed.get(name):
            raise ModelNotLoaded(f"model {name!r} failed to load: {failure}", retry_after=_FAILED_SECONDS)
        wait = min(self.settings.load_wait, CALL.get().remaining - _RESERVE)
        done, _ = await asyncio.wait([self.load(name)], timeout=max(wait, 0.0))
        if not done:
            raise ModelNotLoaded(f"model {name!r} is still loading.", retry_after=2.0)
        return done.pop().result()

    def load(self, name: str, device: str = "") -> asyncio.Future[LoadedModel]:
        """Start loading, or join the load that runs."""
        return _share(self._loading, name, lambda: self._load(name, device))

    async def _load(self, name: str, device: str) -> LoadedModel:
        loop = asyncio.get_running_loop()
        try:
            loaded = await loop.run_in_executor(self._loaders, self.registry.load, name, device or None)
            await self.engine.call(loaded, loaded.model.warm_up)
        except VoicecloneError as error:
            # Else every request would try again what cannot work and takes long.
            self._failed.put(name, error.message)
            raise
        return loaded

    async def unload(self, name: str, grace: float) -> None:
        """Let the model's streams finish for ``grace`` seconds, end the others, free it. Raises ModelNotFound."""
        loaded = self.registry.get(name)
        if loaded is None:
            await asyncio.to_thread(self.registry.unload, name)
            return
        self.draining.add(name)
        try:
            await self.engine.evict(loaded, grace)
            # On the device's thread, so that no encoding is under way.
            await self.engine.call(loaded, self.registry.unload, name)
        finally:
            self.draining.discard(name)

    async def encode(self, loaded: LoadedModel, samples: Sequence[Reference]) -> bytes:
        """The speaker heard in ``samples``. Raises SampleRejected, VoiceIncompatible, ModelNotLoaded."""
        name = loaded.info.name
        if not loaded.model.capabilities.cloning:
            raise VoiceIncompatible(
                f"model {name!r} does not clone voices.",
                subject=f"models/{name}",
                hint="Name no voice: the model has its own.",
            )

        def encode() -> bytes:
            if self.registry.get(name) is not loaded:
                raise ModelNotLoaded(f"model {name!r} has just been unloaded.")
            return loaded.model.encode_voice(samples)

        return await self.engine.call(loaded, encode)

    async def data(self, voice: Voice, loaded: LoadedModel) -> VoiceData:
        """The voice in the model's terms: from memory, from the store, or encoded from the voice's samples now."""
        key = (voice.name, voice.etag, loaded.key)
        found = self._data.get(key)
        if found is None:
            # Callers that want it at the same time share one computation, whoever of them gives up.
            found = await asyncio.shield(_share(self._finding, key, lambda: self._find(voice, loaded)))
            self._data.put(key, found)
        return found

    async def _find(self, voice: Voice, loaded: LoadedModel) -> VoiceData:
        info = loaded.info
        digest = await asyncio.to_thread(self._digest, voice)
        data = await asyncio.to_thread(self.store.get_conditioning, voice, info.name, info.revision)
        if data is None:
            data = await self.encode(loaded, await asyncio.to_thread(self.store.references, voice))
            await asyncio.to_thread(self.store.put_conditioning, voice, info.name, info.revision, data)
        return VoiceData(data, digest)

    def _digest(self, voice: Voice) -> str:
        sums = [self.store.get_sample(name).sha256 for name in voice.samples]
        return hashlib.sha256(" ".join(sums).encode()).hexdigest()

    def able(self, wanted: Callable[[Capabilities], bool]) -> list[str]:
        """Names of the loaded models for which ``wanted`` holds, to tell a caller where to turn."""
        capabilities = {status.info.name: status.capabilities for status in self.registry.models()}
        return [name for name, can in capabilities.items() if can is not None and wanted(can)]

    def close(self) -> None:
        self._loaders.shutdown(wait=False, cancel_futures=True)


def _share(
    running: dict[K, asyncio.Future[V]], key: K, make: Callable[[], Coroutine[Any, Any, V]]
) -> asyncio.Future[V]:
    """The future of ``make()`` that runs under ``key``, started now where there is none."""

    def retire(done: asyncio.Future[V]) -> None:
        del running[key]
        if not done.cancelled():
            done.exception()  # read here, for asyncio complains of errors that nobody stayed to hear

    future = running.get(key)
    if future is None:
        future = running[key] = asyncio.ensure_future(make())
        future.add_done_callback(retire)
    return future
