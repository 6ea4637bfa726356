"""The tutorial of docs/writing-a-backend.md, done: its files make a package that is found and passes the kit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = Path(__file__).parent.parent / "docs" / "writing-a-backend.md"
FILE = re.compile(r"^```\w+ title=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutorial's folder, as a reader would have it."""
    folder = tmp_path_factory.mktemp("voiceclone-hum")
    for name, text in FILE.findall(GUIDE.read_text("utf-8")):
        (folder / name).write_text(text, "utf-8")
    return folder


def test_the_files_are_those_the_page_lists(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"pyproject.toml", "voiceclone_hum.py", "test_hum.py"}


def test_the_package_installs_and_passes_the_kit(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
               "--disable-pip-version-check", "--target", str(tmp_path / "installed"), str(folder)]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path),
               str(folder / "test_hum.py")]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout


def test_the_kit_runs_without_a_test_file_and_finds_a_broken_model(folder: Path, tmp_path: Path) -> None:
    """The kit is worth something only if a model that breaks a promise fails it."""
    text = (folder / "voiceclone_hum.py").read_text("utf-8")
    broken = text.replace("frequency = options.frequency", "frequency = time_dependent() * options.frequency")
    assert broken != text
    broken += (
        "\n\nimport itertools\ncounter = itertools.count(1)\n\n\ndef time_dependent():\n    return next(counter)\n"
    )
    (tmp_path / "voiceclone_hum.py").write_text(broken)
    metadata = tmp_path / "voiceclone_hum-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: voiceclone-hum\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text("[voiceclone.plugins]\nhum = voiceclone_hum\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--voiceclone-model", "hum",
               "-k", "seeds or bad_recording"]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "test_equal_seeds_give_equal_audio" in result.stdout
    assert "FAILED" in result.stdout
    assert "5 passed" in result.stdout
