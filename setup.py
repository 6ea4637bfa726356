"""Package metadata, and the two build steps of voiceclone: generated protocol code and the optional native kernels."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata, util
from pathlib import Path

from setuptools import Command, Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CCompilerError

ROOT = Path(__file__).resolve().parent
NATIVE = "VOICECLONE_NATIVE"  # auto (default): build if possible; on: fail if not; off: never
CUDA = "VOICECLONE_CUDA"  # auto (default): CUDA kernels if nvcc is found; on: fail if not; off: never
HOST = (
    "VOICECLONE_HOST"  # auto (default): the pybind11 module if possible; on: fail if not; off: a wheel for every Python
)
MINIMUM_TORCH = (2, 11)
HOST_MODULE = "voiceclone._host"
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow")
EXTRAS = ("dev", "train", "quality", "bench", "bench-gpu")


class NativeUnavailable(Exception):
    """Why the native kernels cannot be built here; the message says what would change that."""


def switch(name: str) -> str:
    value = os.environ.get(name, "auto").lower()
    value = {"1": "on", "0": "off", "true": "on", "false": "off"}.get(value, value)
    if value not in ("auto", "on", "off"):
        raise SystemExit(f"{name}={value!r} is not one of auto, on, off")
    return value


def version() -> str:
    for line in (ROOT / "voiceclone" / "__init__.py").read_text("utf-8").splitlines():
        if line.startswith("__version__"):
            return line.split('"')[1]
    raise SystemExit("voiceclone/__init__.py defines no __version__")


def requirements(name: str) -> list[str]:
    lines = (ROOT / "requirements" / f"{name}.in").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def torch_directory() -> Path:
    """Folder of the installed torch, found without importing it: the import alone costs seconds."""
    spec = util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        raise NativeUnavailable(
            "torch is not importable in this build environment; install it first and use `pip --no-build-isolation`"
        )
    found = tuple(int(part) for part in metadata.version("torch").split(".")[:2])
    if found < MINIMUM_TORCH:
        raise NativeUnavailable(f"torch {metadata.version('torch')} is older than {'.'.join(map(str, MINIMUM_TORCH))}")
    return Path(next(iter(spec.submodule_search_locations)))


def program(name: str) -> str:
    """A build tool: the one pip installed beside this Python before the system's."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise NativeUnavailable(f"{name} is missing; `pip install {name}` brings it")
    return found


def cuda_compiler() -> str | None:
    if switch(CUDA) == "off":
        return None
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    candidates = [Path(home) / "bin" / "nvcc" for home in homes if home]
    found = next((str(path) for path in candidates if path.exists()), None) or shutil.which("nvcc")
    if not found and switch(CUDA) == "on":
        raise NativeUnavailable(f"{CUDA}=on but nvcc is neither in CUDA_HOME nor in PATH")
    return found


class BuildNative(build_ext):
    """Configures and builds CMakeLists.txt in a fixed folder, so that a second build only compiles what changed."""

    def build_extension(self, ext: Extension) -> None:
        if switch(NATIVE) == "off":
            return
        if ext.name == HOST_MODULE:
            self.build_host(ext)
            return
        try:
            self.cmake_build(ext)
        except (NativeUnavailable, subprocess.CalledProcessError, OSError) as error:
            if switch(NATIVE) == "on":
                raise SystemExit(f"{NATIVE}=on, but the native kernels were not built: {error}") from error
            print(f"warning: native kernels not built ({error}); voiceclone will run on plain torch", file=sys.stderr)

    def build_host(self, ext: Extension) -> None:
        """The pybind11 module. The package is whole without it: only VOICECLONE_HOST=on makes its absence an error."""
        if switch(HOST) == "off":
            return
        include = Path(sysconfig.get_paths()["include"])
        try:
            if not (include / "Python.h").exists():
                raise NativeUnavailable("Python.h is missing; `sudo apt-get install python3-dev` brings it")
            if util.find_spec("pybind11") is None:
                raise NativeUnavailable("`pip install pybind11` brings what it is compiled with")
            import pybind11

            ext.extra_compile_args += ["-isystem", pybind11.get_include()]
            super().build_extension(ext)
        except (NativeUnavailable, CCompilerError, OSError) as error:
            if switch(HOST) == "on":
                raise SystemExit(f"{HOST}=on, but {ext.name} was not built: {error}") from error
            print(f"warning: {ext.name} not built ({error}); the same runs in Python", file=sys.stderr)

    def cmake_build(self, ext: Extension) -> None:
        torch = torch_directory()
        if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++").split()[0], "g++", "clang++")):
            raise NativeUnavailable("no C++ compiler; `sudo apt-get install g++` brings one")
        nvcc = cuda_compiler()
        folder = ROOT / "build" / f"native-{sys.platform}-{platform.machine()}-{'cuda' if nvcc else 'cpu'}"
        forget_moved_build(folder)
        cmake = program("cmake")
        configure = [cmake, "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
        configure += [f"-DCMAKE_MAKE_PROGRAM={program('ninja')}", f"-DVOICECLONE_TORCH_DIR={torch}"]
        configure += [f"-DVOICECLONE_CUDA={'ON' if nvcc else 'OFF'}"]
        configure += [f"-DCMAKE_CUDA_COMPILER={nvcc}"] if nvcc else []
        if launcher := shutil.which("ccache"):
            languages = ("CXX", "CUDA") if nvcc else ("CXX",)
            configure += [f"-DCMAKE_{language}_COMPILER_LAUNCHER={launcher}" for language in languages]
        if architectures := os.environ.get("VOICECLONE_CUDA_ARCHITECTURES"):
            configure.append(f"-DVOICECLONE_CUDA_ARCHITECTURES={architectures}")
        jobs = os.environ.get("MAX_JOBS") or str(os.cpu_count() or 1)
        subprocess.run(configure, check=True)
        subprocess.run([cmake, "--build", str(folder), "--parallel", jobs], check=True)
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / target.name, target)


def forget_moved_build(folder: Path) -> None:
    """CMake refuses a build folder whose source tree was moved or copied: start such a folder afresh."""
    cache = folder / "CMakeCache.txt"
    if cache.exists() and f"CMAKE_HOME_DIRECTORY:INTERNAL={ROOT}\n" not in cache.read_text("utf-8"):
        shutil.rmtree(folder)


class BuildWheel(bdist_wheel):
    """A wheel that holds the pybind11 module fits one Python only, and its name must say so."""

    def get_tag(self) -> tuple[str, str, str]:
        if any(Path(self.bdist_dir).rglob("_host*.so")):
            self.py_limited_api = False
        tag: tuple[str, str, str] = super().get_tag()
        return tag


class BuildPython(build_py):
    """Generates the protocol code before the package's files are collected."""

    def run(self) -> None:
        self.run_command("protos")
        super().run()


class GenerateProtos(Command):
    """``python setup.py protos``: compile protos/ into voiceclone/_proto."""

    description = "compile protos/ into voiceclone/_proto"
    user_options: list[tuple[str, str | None, str]] = []  # noqa: RUF012  (the type setuptools declares)

    def initialize_options(self) -> None:
        """No options."""

    def finalize_options(self) -> None:
        """No options."""

    def run(self) -> None:
        spec = util.spec_from_file_location("generate_protos", ROOT / "scripts" / "generate_protos.py")
        assert spec is not None
        assert spec.loader is not None
        module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.generate(ROOT)


setup(
    name="voiceclone",
    version=version(),
    description="A voice-cloning text-to-speech server for games and apps",
    long_description=(ROOT / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.10",
    packages=find_packages(include=["voiceclone", "voiceclone.*"]),
    package_data={"": ["py.typed", "*.json", "*.tsv", "*.pyi"]},
    install_requires=requirements("runtime"),
    extras_require={name: requirements(name) for name in EXTRAS},
    entry_points={
        "console_scripts": ["voiceclone = voiceclone.cli.main:app"],
        "voiceclone.plugins": ["tone = voiceclone.testing.tone"],
        "pytest11": ["voiceclone = voiceclone.testing.plugin"],
    },
    ext_modules=[
        Extension("voiceclone._C", sources=[], py_limited_api=True, optional=True),
        Extension(
            HOST_MODULE,
            sources=sorted(str(path.relative_to(ROOT)) for path in (ROOT / "csrc" / "host").glob("*.cpp")),
            depends=sorted(str(path.relative_to(ROOT)) for path in (ROOT / "csrc" / "host").glob("*.h")),
            include_dirs=["csrc"],
            # Contracted sums would round differently from the same sums in Python.
            extra_compile_args=[
                "-std=c++17",
                "-O3",
                "-g0",
                "-fvisibility=hidden",
                "-ffp-contract=off",
                "-fno-trapping-math",
                *WARNINGS,
            ],
            optional=True,
        ),
    ],
    cmdclass={"build_ext": BuildNative, "bdist_wheel": BuildWheel, "build_py": BuildPython, "protos": GenerateProtos},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ],
)
