"""Set-up from a clone: prerequisites are named, steps run once, targets are documented, locks fit their sources."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = ("runtime", "dev", "train", "quality", "bench", "bench-gpu")
TARGETS = dict(re.findall(r"^([a-z-]+):.*?## (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


@pytest.fixture
def bootstrap(tmp_path: Path) -> ModuleType:
    """scripts/bootstrap.py as a module, with its environment in a folder of the test."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "scripts" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = tmp_path  # type: ignore[attr-defined]
    module.VENV = tmp_path / ".venv"  # type: ignore[attr-defined]
    module.PYTHON = module.VENV / "bin" / "python"
    module.STAMPS = tmp_path / "stamps.json"  # type: ignore[attr-defined]
    return module


# -- the Makefile -----------------------------------------------------------------------------------------------------


def test_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony is not None
    assert set(phony.group(1).split()) == set(TARGETS)
    result = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target, summary in TARGETS.items():
        assert re.search(rf"make {target} +{re.escape(summary)}", result.stdout)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_the_development_page_names_every_target(target: str) -> None:
    assert f"`make {target}`" in (ROOT / "docs" / "development.md").read_text("utf-8")


@pytest.mark.parametrize("target", ["setup", "demo", "test", "lint"])
def test_a_missing_python_is_named_with_its_remedy(target: str) -> None:
    result = subprocess.run(["make", target, "PYTHON=no-such-python"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode != 0
    assert "no-such-python is missing: sudo apt-get install" in result.stdout + result.stderr


# -- prerequisites ----------------------------------------------------------------------------------------------------


def test_missing_programs_are_named_in_one_command(bootstrap: ModuleType, tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path)}
    code = "import sys; sys.path.insert(0, 'scripts'); import bootstrap; bootstrap.check_machine()"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert result.returncode == 1
    assert "sudo apt-get install -y git make g++" in result.stderr
    environment["VOICECLONE_NATIVE"] = "off"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert "g++" not in result.stderr


def test_an_old_python_is_refused(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    with pytest.raises(SystemExit, match=r"Python 3\.10 or newer is needed, this is 3\.9\.18"):
        bootstrap.check_machine()


def test_the_environment_is_kept_when_it_works_and_made_anew_when_broken(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[object, ...]] = []
    monkeypatch.setattr(bootstrap, "run", lambda *command, **_: commands.append(command))
    bootstrap.PYTHON.parent.mkdir(parents=True)
    bootstrap.PYTHON.symlink_to(bootstrap.VENV / "gone")  # what an upgrade of the system's Python leaves
    bootstrap.make_environment()
    assert commands[0][1:] == ("-m", "venv", "--clear", bootstrap.VENV)
    commands.clear()
    bootstrap.PYTHON.unlink()
    bootstrap.PYTHON.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    bootstrap.PYTHON.chmod(0o755)
    bootstrap.make_environment()
    assert commands == []


# -- steps ------------------------------------------------------------------------------------------------------------


def test_a_step_runs_again_only_when_its_files_change(bootstrap: ModuleType, tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("one")
    ran: list[str] = []

    def step(present: bool = True) -> bool:
        return bool(bootstrap.step("name", bootstrap.fingerprint([source]), present, lambda: ran.append("x")))

    assert [step(), step()] == [True, False]
    source.write_text("two")
    assert [step(), step(), step(present=False)] == [True, False, True]
    assert len(ran) == 3


def test_a_step_that_fails_is_not_taken_for_done(bootstrap: ModuleType) -> None:
    def fail() -> None:
        raise SystemExit("no network")

    with pytest.raises(SystemExit):
        bootstrap.step("packages", "key", True, fail)
    assert not bootstrap.STAMPS.exists()
    bootstrap.step("other", "key", True, lambda: None)
    assert json.loads(bootstrap.STAMPS.read_text()) == {"other": "key"}


def test_a_failing_command_ends_the_setup_with_its_name(bootstrap: ModuleType) -> None:
    with pytest.raises(SystemExit, match="failed with status 3"):
        bootstrap.run(sys.executable, "-c", "raise SystemExit(3)")


# -- requirements -----------------------------------------------------------------------------------------------------


def lines(name: str) -> list[Requirement]:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    return [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_satisfies_its_source(name: str) -> None:
    locked = {canonicalize_name(pin.name): pin for pin in lines(f"{name}.txt")}
    for wanted in lines(f"{name}.in"):
        (pin,) = locked[canonicalize_name(wanted.name)].specifier
        assert pin.operator == "=="
        assert wanted.specifier.contains(pin.version), f"{wanted} is locked to {pin.version}: run `make lock`"


def test_locks_agree_with_each_other() -> None:
    pins: dict[tuple[str, str], str] = {}
    for name in LOCKS:
        for pin in lines(f"{name}.txt"):
            key = (canonicalize_name(pin.name), str(pin.marker))
            assert pins.setdefault(key, str(pin.specifier)) == str(pin.specifier), key


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_packages_only(name: str) -> None:
    """No host, no path: where packages come from is the user's pip configuration."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    assert not re.search(r"://|^-|@ ", text, re.MULTILINE)


# -- metadata ---------------------------------------------------------------------------------------------------------


def test_every_entry_point_can_be_loaded() -> None:
    found = [point for point in metadata.distribution("voiceclone").entry_points]
    assert {point.group for point in found} == {"console_scripts", "voiceclone.plugins", "pytest11"}
    for point in found:
        assert point.load() is not None


def test_a_bad_switch_is_refused() -> None:
    environment = {**os.environ, "VOICECLONE_NATIVE": "maybe"}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "build/never"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert result.returncode != 0
    assert "VOICECLONE_NATIVE='maybe' is not one of auto, on, off" in result.stderr


def test_without_a_compiler_the_build_goes_on_unless_told_not_to(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "-q", "build_ext", f"--build-lib={tmp_path}", f"--build-temp={tmp_path}"]
    environment = {**os.environ, "PATH": str(tmp_path), "VOICECLONE_NATIVE": "auto"}
    environment.pop("CXX", None)
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert "native kernels not built (no C++ compiler; `sudo apt-get install g++` brings one)" in result.stderr
    environment["VOICECLONE_NATIVE"] = "on"
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert result.returncode != 0
    assert "VOICECLONE_NATIVE=on, but the native kernels were not built" in result.stderr
