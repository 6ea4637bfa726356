"""Builds the Cython peers of this folder into build/peers with the flags that a plain `setup.py build_ext` has."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from benchmarks.kernels.timer import Absent

FOLDER = Path(__file__).resolve().parent
BUILD = FOLDER.parents[2] / "build" / "peers"

#: What a project that publishes one .pyx file has as its setup.py: no flags of its own.
_SETUP = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup
name, source = sys.argv.pop(1), sys.argv.pop(1)
setup(name=name, ext_modules=cythonize([Extension(name, [source])], build_dir="."))
"""


def cython_peer(name: str) -> ModuleType | Absent:
    """The module that `NAME.pyx` here compiles to, or why there is none."""
    source = FOLDER / f"{name}.pyx"
    built = _built(name)
    if built is None or built.stat().st_mtime < source.stat().st_mtime:
        if importlib.util.find_spec("Cython") is None:
            return Absent("Cython is not installed; `make bench` brings it")
        BUILD.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", _SETUP, name, str(source), "-q", "build_ext", "--inplace"]
        done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True)
        built = _built(name)
        if done.returncode or built is None:
            return Absent(f"it was not compiled: {(done.stderr.strip() or 'no output').splitlines()[-1]}")
    spec = importlib.util.spec_from_file_location(name, built)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _built(name: str) -> Path | None:
    suffix = f"cpython-{sys.version_info.major}{sys.version_info.minor}-*.so"
    return next(BUILD.glob(f"{name}.{suffix}"), None)
