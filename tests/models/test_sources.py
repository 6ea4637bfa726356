"""Where added models come from: paths, and a hub that is a stand-in on this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from voiceclone import BackendInfo, Recognised, hookimpl
from voiceclone.errors import InvalidRequest, ModelFilesInvalid
from voiceclone.models import ModelStore, located
from voiceclone.models.hub import _chosen
from voiceclone.models.sources import slug
from voiceclone.plugins import Plugins, load_plugins

_SPEC = importlib.util.spec_from_file_location("hub_stand_in", Path(__file__).with_name("hub_stand_in.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
stand_in = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(stand_in)

WEIGHTS = (
    "config.json",
    "model.safetensors",
    "pytorch_model.bin",
    "optimizer.pt",
    "D_100.pth",
    "README.md",
    "vocab.json",
)


class Plugin:
    """Knows folders with a vocab.json."""

    @hookimpl
    def voiceclone_backends(self) -> Iterator[BackendInfo]:
        yield BackendInfo("mine", "1", "A backend.", "pkg.mod:load")

    @hookimpl
    def voiceclone_recognise(self, path: Path) -> Recognised | None:
        known = path.is_dir() and (path / "vocab.json").is_file()
        return Recognised("mine", ("model.safetensors", "vocab.json"), "Speaks.") if known else None


@pytest.fixture
def plugins() -> Plugins:
    found = load_plugins(entry_points=False)
    found.register(Plugin(), "mine")
    return found


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    root = tmp_path / "repositories" / "org" / "MMS-tts_eng"
    root.mkdir(parents=True)
    for name in WEIGHTS:
        (root / name).write_bytes(json.dumps({"name": name}).encode())
    return tmp_path / "repositories"


def test_a_folder_is_known_by_the_plugin_that_speaks_it(plugins: Plugins, repositories: Path, tmp_path: Path) -> None:
    folder = repositories / "org" / "MMS-tts_eng"
    found = located(str(folder), plugins)
    assert (found.info.name, found.info.backend, found.info.summary) == ("mms-tts-eng", "mine", "Speaks.")
    record = ModelStore(tmp_path / "models").add(found.info, found.files)
    assert set(record.files) == {"model.safetensors", "vocab.json"}
    # The pickles beside it were not listed, and do not hinder.
    ModelStore(tmp_path / "models").verify("mms-tts-eng")
    with pytest.raises(ModelFilesInvalid, match="pickle"):
        ModelStore(tmp_path / "models").add(located(str(folder), plugins, name="all").info)


def test_what_nobody_knows_needs_a_backend(plugins: Plugins, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelFilesInvalid, match="no backend knows"):
        located(str(tmp_path), plugins)
    assert located(str(tmp_path), plugins, name="x", backend="mine").files == ()
    with pytest.raises(InvalidRequest, match="no backend 'other'"):
        located(str(tmp_path), plugins, backend="other")
    with pytest.raises(InvalidRequest, match="nothing at"):
        located(str(tmp_path / "gone"), plugins)


CODE = """
import sys; from pathlib import Path; from voiceclone.models import hub
for reference in sys.argv[2:]:
    try:
        found = hub.download(reference, Path(sys.argv[1]))
        names = sorted(file.name for file in found.path.iterdir() if file.is_file())
        print(found.revision, found.licence, *names)
    except Exception as error:
        print(type(error).__name__, error)
"""


def ask(endpoint: str, target: Path, *references: str) -> list[str]:
    """In a process of its own: huggingface_hub reads its endpoint when it is imported."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(target / "hf"), "HF_HUB_DISABLE_XET": "1",
                   "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # fmt: skip
    environment.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-c", CODE, str(target / "models"), *references]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_hub(repositories: Path, tmp_path: Path) -> None:
    with stand_in.hub(repositories) as (endpoint, asked):
        found, gone, nowhere, nonsense = ask(
            endpoint, tmp_path, "org/MMS-tts_eng", "org/MMS-tts_eng@v9", "org/other", "no repository"
        )
    assert found == "0123456789ab cc-by-nc-4.0 config.json model.safetensors vocab.json"
    assert gone.startswith("ModelFilesInvalid hf:org/MMS-tts_eng@v9 is not on the hub")
    assert nowhere.startswith("ModelFilesInvalid hf:org/other is not on the hub")
    assert nonsense.startswith("InvalidRequest")
    fetched = {line.rpartition("/")[2] for line in asked if line.startswith("GET") and "/resolve/" in line}
    assert fetched == {"config.json", "model.safetensors", "vocab.json"}


def test_a_hub_that_is_away_is_a_typed_error(tmp_path: Path) -> None:
    (line,) = ask("http://127.0.0.1:9", tmp_path, "org/name")
    assert line.startswith("StoreError hf:org/name cannot be downloaded")


def test_which_files_are_fetched() -> None:
    assert _chosen(["G_1000.pth", "D_1000.pth", "config.json"]) == ["G_1000.pth", "config.json"]
    assert _chosen(["config.json", "README.md"]) == []
    assert _chosen(["a/model.onnx", "model.ckpt", "en.onnx.json"]) == ["model.ckpt", "en.onnx.json"]


@pytest.mark.parametrize(("text", "name"), [("MMS_tts (eng)", "mms-tts-eng"), ("ü", "model"), ("a" * 80, "a" * 63)])
def test_names_are_made_of_sources(text: str, name: str) -> None:
    assert slug(text) == name


def test_the_plugins_here_know_nothing_of_an_empty_folder(tmp_path: Path) -> None:
    found: Any = load_plugins().recognise(tmp_path)
    assert found is None
