"""The C++ host module: where it is missing Python takes over with the same results, and says once what brings it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from voiceclone.host import _native

from .conftest import needs_native


def missing(monkeypatch: pytest.MonkeyPatch, error: ImportError) -> None:
    def fail(name: str) -> Any:
        raise error

    monkeypatch.delenv("VOICECLONE_NATIVE", raising=False)
    monkeypatch.setattr(importlib, "import_module", fail)


def test_a_missing_module_is_told_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing(monkeypatch, ModuleNotFoundError("no", name="voiceclone._host"))
    monkeypatch.setattr(_native, "_KERNELS", tmp_path)
    with pytest.warns(RuntimeWarning, match=r"never built for this Python.*make setup") as caught:
        assert str(_native.load()) == "host classes: Python (never built for this Python)"
    assert len(caught) == 1


def test_a_module_of_another_system_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing(monkeypatch, ImportError("wrong ELF class"))
    monkeypatch.setattr(_native, "_KERNELS", tmp_path)
    with pytest.warns(RuntimeWarning, match="not usable here: wrong ELF class"):
        assert not _native.load().loaded


def test_nothing_is_said_twice_where_the_kernels_are_missing_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing(monkeypatch, ModuleNotFoundError("no", name="voiceclone._host"))
    monkeypatch.setattr(_native, "_KERNELS", tmp_path / "_C.abi3.so")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not _native.load().loaded


@needs_native
@pytest.mark.parametrize("switch", ["off", "on"])
def test_the_switch_decides_which_one_runs(switch: str) -> None:
    code = "from voiceclone import host; print(host.Pages.__module__, host.to_pcm16([0.5]).tolist())"
    environment = {**os.environ, "VOICECLONE_NATIVE": switch}
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    module = "voiceclone.host.pages" if switch == "off" else "voiceclone._host"
    assert result.stdout.split() == [module, "[16384]"]


def test_importing_it_brings_no_torch() -> None:
    code = "import sys, voiceclone.host; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
