"""The runner of recorded calls: it passes the cases in this repository, and fails where a number is another."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import pytest
import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
CASES = HERE / "cases"
MEBIBYTES_ALLOWED = 12


class Done(NamedTuple):
    """How a run ended, and what it printed."""

    status: int
    output: str


Run: TypeAlias = Callable[..., Done]


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """check.py, imported as it is when it is run: from its own folder."""
    threads = torch.get_num_threads()
    sys.path.insert(0, str(HERE))
    yield importlib.import_module("check")
    sys.path.remove(str(HERE))
    torch.set_num_threads(threads)


@pytest.fixture
def check(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *arguments: Done(script.main([*map(str, arguments)]), capsys.readouterr().out)


@pytest.fixture(scope="module")
def results(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Every call of every case here."""
    file = tmp_path_factory.mktemp("golden") / "results.json"
    status = script.main([str(CASES), "--json", str(file)])
    found: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))
    assert (status == 0) == all(result["status"] == "PASS" for result in found)
    return found


@pytest.mark.parametrize("case", sorted(path.parent.name for path in CASES.rglob("meta.json")))
def test_every_case_passes(case: str, results: list[dict[str, Any]]) -> None:
    mine = [result for result in results if Path(result["case"]).name == case]
    assert mine
    assert all(result["status"] == "PASS" for result in mine), json.dumps(mine, indent=1)


def test_the_cases_are_few_enough_to_carry() -> None:
    assert sum(file.stat().st_size for file in CASES.rglob("*")) <= MEBIBYTES_ALLOWED << 20


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A case under another name: nothing may depend on what a folder is called."""
    return Path(shutil.copytree(CASES / "h_text_encoder", tmp_path / "somewhere" / "else"))


def test_a_case_is_known_by_its_meta_alone(copied: Path, check: Run) -> None:
    done = check(copied.parent)
    assert done.status == 0, done.output
    assert "else" in done.output


def test_another_number_fails(copied: Path, check: Run) -> None:
    io = load_file(copied / "io.safetensors")
    io["b1_t9/m"][0, 0, 3] += 1e-2
    save_file(io, copied / "io.safetensors")
    done = check(copied)
    assert done.status == 1
    assert [line.split()[1] for line in done.output.splitlines() if "FAIL" in line] == ["b1_t9"]


def test_nan_and_another_shape_fail(copied: Path, check: Run) -> None:
    io = load_file(copied / "io.safetensors")
    io["b1_t9/m"][0, 0, 3] = float("nan")
    io["b1_t1/h"] = io["b1_t1/h"][:, 1:].contiguous()
    save_file(io, copied / "io.safetensors")
    failed = [line.split()[1] for line in check(copied).output.splitlines() if "FAIL" in line]
    assert failed == ["b1_t1", "b1_t9"]


def test_an_unknown_case_and_a_broken_one_fail(copied: Path, check: Run) -> None:
    meta = json.loads((copied / "meta.json").read_text("utf-8"))
    (copied / "meta.json").write_text(json.dumps({**meta, "class": "models.Unheard"}), "utf-8")
    done = check(copied)
    assert done.status == 1
    assert "UNKNOWN: jaywalnut310/vits | models.Unheard" in done.output
    (copied / "meta.json").write_text(json.dumps(meta), "utf-8")
    (copied / "state_dict.pth").write_bytes(b"PK\x03\x04 cut")
    done = check(copied)
    assert done.status == 1
    assert "FAIL ModelFilesInvalid" in done.output


def test_listing_and_choosing(check: Run) -> None:
    listed = check(CASES, "--list", "--only", "h_text_encoder b1")
    assert listed.status == 0
    assert [line.split() for line in listed.output.splitlines()] == [
        ["h_text_encoder", "b1_t1"],
        ["h_text_encoder", "b1_t9"],
    ]


def test_as_a_script_and_without_the_native_kernels() -> None:
    command = [sys.executable, str(HERE / "check.py"), str(CASES), "--only", "h_text_encoder b1_t1", "--no-extension"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("1 calls, 0 failed")


def test_a_path_without_cases_is_an_error(tmp_path: Path, check: Run) -> None:
    with pytest.raises(SystemExit, match=r"no meta\.json"):
        check(tmp_path)
