"""The sanitizer run: each op has a driver, and an overrun in a kernel would end it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NATIVE = ROOT / "tests" / "native"


def test_each_op_has_a_driver() -> None:
    """One file `X_test.cpp` a folder of csrc that holds CPU kernels."""
    folders = {path.parent.name for path in (ROOT / "csrc").rglob("*_cpu.cpp")}
    drivers = " ".join(path.read_text("utf-8") for path in NATIVE.glob("*_test.cpp"))
    assert folders - set(re.findall(r'#include "(\w+)/', drivers)) == set()


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_an_overrun_is_found(tmp_path: Path) -> None:
    """With the flags of CMakeLists.txt: a driver that reads one element too far must not pass."""
    flags = re.findall(r"-fsanitize=\S+|-fno-sanitize-recover=\w+", (ROOT / "CMakeLists.txt").read_text("utf-8"))
    driver = tmp_path / "overrun.cpp"
    driver.write_text(
        '#include "testing.h"\nTEST(overrun) {\n  testing::Random random(1);\n'
        "  const std::vector<float> made = random.values(8);\n  volatile float beyond = made.data()[made.size()];\n"
        "  CHECK(beyond == beyond || true);\n}\n"
    )
    binary = tmp_path / "overrun"
    sources = [str(driver), str(NATIVE / "main.cpp")]
    includes = [f"-I{NATIVE}", f"-I{ROOT / 'csrc'}"]
    options = [flag.rstrip(")") for flag in flags]
    subprocess.run(["g++", "-std=c++17", "-O1", *options, *includes, *sources, "-o", str(binary)], check=True)
    result = subprocess.run([str(binary)], capture_output=True, text=True)
    assert result.returncode != 0
    assert "heap-buffer-overflow" in result.stderr
