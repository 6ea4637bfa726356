"""Models by name: states, loading once, unloading, and every way in which a load can fail."""

from __future__ import annotations

import json
import sys
import threading
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from voiceclone import BackendInfo, ModelInfo, hookimpl
from voiceclone.device import pick_device
from voiceclone.errors import (
    DeviceOutOfMemory,
    ModelFilesInvalid,
    ModelNotFound,
    ModelNotLoaded,
    PluginError,
    SampleSilent,
    VoicecloneError,
)
from voiceclone.models import ModelStore
from voiceclone.plugins import Plugins, load_plugins
from voiceclone.registry import ModelState, Registry, require
from voiceclone.testing.tone import ToneModel


class Watched(ToneModel):
    """A tone model that says whether it was closed."""

    closed = False

    def memory_bytes(self) -> int:
        return 1234

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The module ``watched_backend``; its ``load`` is what a test puts there."""
    module = types.ModuleType("watched_backend")
    module.load = lambda info, device: Watched()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "watched_backend", module)
    return module


def backend(name: str = "watched", models: Iterable[str] = ("watched-1",), **more: Any) -> BackendInfo:
    infos = tuple(ModelInfo(model, backend=name, revision="7") for model in models)
    return BackendInfo(name, "1", "W.", "watched_backend:load", models=infos, **{"devices": ("cpu",), **more})


def plugins_of(*infos: BackendInfo) -> Plugins:
    class Plugin:
        @hookimpl
        def voiceclone_backends(self) -> Iterable[BackendInfo]:
            return infos

    plugins = load_plugins(entry_points=False)
    plugins.register(Plugin(), "watched")
    return plugins


@pytest.fixture
def registry(factory: types.ModuleType) -> Registry:
    return Registry(plugins_of(backend()))


def test_a_model_is_loaded_on_demand_and_described(registry: Registry) -> None:
    before = registry.status("watched-1")
    assert (before.state, before.capabilities, before.option_schema) == (ModelState.UNLOADED, None, "")
    assert registry.get("watched-1") is None
    with pytest.raises(ModelNotLoaded, match="unloaded"):
        require(registry, "watched-1")
    loaded = registry.load("watched-1")
    assert (loaded.key, loaded.device) == ("watched-1@7", "cpu")
    assert registry.get("watched-1") is loaded is require(registry, "watched-1")
    assert registry.load("watched-1") is loaded
    (status,) = registry.models()
    assert (status.state, status.error, status.memory_bytes) == (ModelState.READY, None, 1234)
    assert status.capabilities is loaded.model.capabilities
    assert "frequency" in json.loads(status.option_schema)["properties"]


def test_unload_closes_and_a_later_load_starts_afresh(registry: Registry) -> None:
    first = registry.load("watched-1")
    registry.unload("watched-1")
    assert first.model.closed  # type: ignore[attr-defined]
    assert registry.get("watched-1") is None
    assert registry.status("watched-1").state is ModelState.UNLOADED
    registry.unload("watched-1")
    assert registry.load("watched-1") is not first


def test_an_unknown_name_lists_the_known_ones(registry: Registry) -> None:
    for ask in (registry.status, registry.get, registry.load, registry.unload):
        with pytest.raises(ModelNotFound, match="watched-1"):
            ask("no-such")  # type: ignore[operator]


def test_many_callers_cause_one_load(factory: types.ModuleType, registry: Registry) -> None:
    began, go_on = threading.Event(), threading.Event()
    made: list[Watched] = []

    def load(info: ModelInfo, device: str) -> Watched:
        began.set()
        go_on.wait()
        made.append(Watched())
        return made[-1]

    factory.load = load  # type: ignore[attr-defined]
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(registry.load("watched-1"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    began.wait()
    assert registry.status("watched-1").state is ModelState.LOADING
    assert registry.get("watched-1") is None
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(got) == 6
    assert len({id(loaded) for loaded in got}) == 1


def raising(error: BaseException) -> Callable[..., Any]:
    def load(info: ModelInfo, device: str) -> Any:
        raise error

    return load


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ImportError("No module named 'x'"), PluginError, "not installed"),
        (FileNotFoundError(2, "No such file", "/home/somebody/w.safetensors"), ModelFilesInvalid, "w.safetensors"),
        (MemoryError(), DeviceOutOfMemory, "does not fit"),
        (RuntimeError("CUDA out of memory"), DeviceOutOfMemory, "does not fit"),
        (KeyError("weight"), PluginError, "KeyError"),
        (SystemExit(2), PluginError, "SystemExit"),
        (SampleSilent("typed stays typed."), SampleSilent, "typed stays typed"),
    ],
)
def test_a_failed_load_is_typed_kept_and_may_be_tried_again(
    factory: types.ModuleType, registry: Registry, error: BaseException, kind: type[VoicecloneError], text: str
) -> None:
    factory.load = raising(error)  # type: ignore[attr-defined]
    with pytest.raises(kind, match=text) as caught:
        registry.load("watched-1")
    assert "somebody" not in str(caught.value)
    status = registry.status("watched-1")
    assert status.state is ModelState.FAILED
    assert status.error == str(caught.value)
    factory.load = lambda info, device: Watched()  # type: ignore[attr-defined]
    assert registry.load("watched-1").model is not None
    assert registry.status("watched-1").error is None


@pytest.mark.parametrize("model", [None, object(), types.SimpleNamespace(capabilities=None)])
def test_a_factory_that_gives_no_model_is_refused(factory: types.ModuleType, registry: Registry, model: Any) -> None:
    factory.load = lambda info, device: model  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match="open"):
        registry.load("watched-1")


def test_a_model_name_belongs_to_the_first_backend(factory: types.ModuleType) -> None:
    registry = Registry(plugins_of(backend("one", ["a", "b"]), backend("two", ["b", "c"])))
    assert [(status.info.name, status.info.backend) for status in registry.models()] == [
        ("a", "one"),
        ("b", "one"),
        ("c", "two"),
    ]


def test_models_of_a_backend_for_another_api_are_listed_and_refused(factory: types.ModuleType) -> None:
    registry = Registry(plugins_of(backend(api=(2, 0))))
    assert registry.status("watched-1").state is ModelState.FAILED
    with pytest.raises(PluginError, match=r"API 2\.0"):
        registry.load("watched-1")
    with pytest.raises(ModelNotFound, match="no model"):
        registry.default_model()


def test_the_default_is_a_preferred_backend_then_the_first(factory: types.ModuleType) -> None:
    assert Registry(plugins_of(backend("a", ["x"]), backend("b", ["y"]))).default_model() == "x"
    assert Registry(plugins_of(backend("a", ["x"]), backend("fastspeech2", ["y"]))).default_model() == "y"
    broken = backend("fastspeech2", ["y"], api=(2, 0))
    assert Registry(plugins_of(backend("a", ["x"]), broken)).default_model() == "x"


def test_added_models_appear_beside_bundled_ones(factory: types.ModuleType, tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    registry = Registry(plugins_of(backend()), store=store)
    store.add(ModelInfo("mine", backend="watched", revision="3", settings={"size": "small"}))
    store.add(ModelInfo("orphan", backend="gone", revision="1"))
    (tmp_path / "damaged.json").write_text("{")
    registry.refresh()
    assert registry.load("mine").info.settings == {"size": "small"}
    with pytest.raises(PluginError, match="'gone' is not installed"):
        registry.load("orphan")
    assert "damaged" in (registry.status("damaged").error or "")


def test_a_backend_runs_only_where_it_can() -> None:
    assert pick_device("auto", ("cpu",)) == "cpu"
    assert pick_device("cpu", ("cuda", "cpu")) == "cpu"
    with pytest.raises(PluginError, match="does not run on cuda"):
        pick_device("cuda:1", ("cpu",))
    with pytest.raises(PluginError, match="no usable tpu"):
        pick_device("tpu", ("tpu",))
    with pytest.raises(PluginError, match="none of the devices"):
        pick_device("auto", ("tpu",))
