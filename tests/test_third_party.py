"""Packages from outside, installed as anybody would: one works with public names only, broken ones stop nothing."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "third_party"
BEEP = HERE / "voiceclone-beep"

SPEAK = """
import asyncio, json, sys
import numpy as np
from voiceclone.engine import Engine
from voiceclone.plugins import load_plugins
from voiceclone.registry import Registry
from voiceclone.testing.speaking import vowel
from voiceclone.types import Utterance

async def main():
    plugins = load_plugins()
    registry = Registry(plugins)
    loaded = registry.load("beep")
    voice = loaded.model.encode_voice([vowel()])
    engine = Engine()
    async with await engine.submit(loaded, Utterance("hello", voice)) as stream:
        audio = np.concatenate([chunk.samples async for chunk in stream])
    await engine.stop()
    backends = [[s.info and s.info.name, s.plugin, s.error] for s in plugins.backends()]
    models = {s.info.name: [s.state.value, s.error] for s in registry.models()}
    print(json.dumps({"samples": len(audio), "peak": float(abs(audio).max()), "backends": backends, "models": models,
                      "errors": plugins.errors, "visemes": plugins.viseme_map("ovr15"),
                      "torch": "torch" in sys.modules}))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which both packages are installed, in a folder of their own."""
    target = tmp_path_factory.mktemp("installed")
    for package in sorted(file.parent for file in HERE.glob("*/pyproject.toml")):
        source = tmp_path_factory.mktemp("source") / package.name
        shutil.copytree(package, source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
                   "--disable-pip-version-check", "--target", str(target), str(source)]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    path = os.pathsep.join([str(target), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "VOICECLONE_HOME": str(target / "home")}


@pytest.fixture(scope="module")
def report(environment: dict[str, str]) -> dict[str, object]:
    result = subprocess.run([sys.executable, "-c", SPEAK], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    parsed: dict[str, object] = json.loads(result.stdout)
    return parsed


def test_the_outside_package_is_found_and_speaks(report: dict[str, object]) -> None:
    assert ["beep", "beep", None] in report["backends"]  # type: ignore[operator]
    assert report["samples"] == 5 * 1600
    assert report["peak"] == pytest.approx(0.3, rel=0.01)
    assert report["visemes"] == {"beep": "aa"}
    assert report["torch"] is False


def test_the_outside_package_passes_its_own_kit(environment: dict[str, str], tmp_path: Path) -> None:
    test = shutil.copy(BEEP / "tests" / "test_beep.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), test]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout


def test_the_outside_package_uses_public_names_only() -> None:
    """Public: what ``voiceclone`` itself exports, its errors, and the kit."""
    public = {"voiceclone", "voiceclone.errors", "voiceclone.testing.conformance"}
    for file in BEEP.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name for name in names if name.split(".")[0] == "voiceclone"} <= public, file.name


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        ("broken-import", "cannot be imported: ModuleNotFoundError: No module named 'no_such_dependency'"),
        ("broken-exit", "cannot be imported: SystemExit: 1"),
        ("broken-missing", "cannot be imported: ModuleNotFoundError"),
        ("broken-signature", "does not fit the hooks"),
        ("broken-hook", "voiceclone_backends failed: RuntimeError: no backends today"),
        ("broken-lazily", "voiceclone_backends failed: SystemExit: 3"),
        ("broken-api", "written for backend API 99.0"),
        ("broken-clash", "backend name 'twice' is taken by plugin 'broken-clash'"),
        ("broken-kind", "gave a str, not a BackendInfo"),
        ("broken-unknown", "unknown hook 'voiceclone_no_such_hook'"),
        ("broken-factory", "factory 'no_colon' is not of the form"),
    ],
)
def test_each_broken_plugin_is_listed_with_its_reason(report: dict[str, object], plugin: str, reason: str) -> None:
    rows: list[list[str | None]] = report["backends"]  # type: ignore[assignment]
    reasons = [error or "" for _, name, error in rows if name == plugin]
    assert any(reason in text for text in reasons), reasons


def test_models_of_a_broken_backend_are_listed_as_failed(report: dict[str, object]) -> None:
    models: dict[str, list[str]] = report["models"]  # type: ignore[assignment]
    assert models["future-model"][0] == "failed"
    assert "API 99.0" in models["future-model"][1]
    assert models["twice-model"][0] == "unloaded"
