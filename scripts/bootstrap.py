"""Sets a clone up: checks the machine, makes .venv, installs the locked packages, generates protos, builds kernels.

Uses the standard library only. Each step runs again only when a file it depends on has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "voiceclone-setup.json"
OLDEST_PYTHON = (3, 10)
FREE_GIGABYTES = 8


def say(text: str) -> None:
    print(f"[setup] {text}", flush=True)


def run(*command: object, **environment: str) -> None:
    arguments = [str(part) for part in command]
    shown = " ".join(arguments).replace(f"{ROOT}{os.sep}", "")
    say(f"$ {shown}")
    code = subprocess.run(arguments, cwd=ROOT, env={**os.environ, **environment}).returncode
    if code:
        sys.exit(f"[setup] failed with status {code}: {shown}")


# -- the machine ------------------------------------------------------------------------------------------------------


def importable(name: str) -> bool:
    try:
        __import__(name)
    except ImportError:
        return False
    return True


def compiler() -> str | None:
    names = [*os.environ.get("CXX", "").split()[:1], "c++", "g++", "clang++"]
    return next((found for found in map(shutil.which, names) if found), None)


def missing_packages() -> list[str]:
    """Debian names of what this machine lacks."""
    needed = [("git", bool(shutil.which("git"))), ("make", bool(shutil.which("make")))]
    if os.environ.get("VOICECLONE_NATIVE", "on") not in ("off", "0"):
        needed.append(("g++", compiler() is not None))
    # Debian splits ensurepip off; `import venv` alone succeeds there and the environment then fails half-made.
    needed.append(("python3-venv", importable("venv") and importable("ensurepip")))
    return [package for package, present in needed if not present]


def check_machine() -> None:
    if sys.version_info < OLDEST_PYTHON:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"[setup] Python 3.10 or newer is needed, this is {version}; name another one: make PYTHON=python3.11")
    if missing := missing_packages():
        hint = f"sudo apt-get update && sudo apt-get install -y {' '.join(missing)}"
        sys.exit(f"[setup] missing: {', '.join(missing)}. On Debian or Ubuntu this mends it:\n    {hint}")
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < FREE_GIGABYTES and not STAMPS.exists():
        sys.exit(f"[setup] {free:.1f} GB free here; torch and its companions need about {FREE_GIGABYTES} GB")


# -- steps and their stamps -------------------------------------------------------------------------------------------


def files(*patterns: str) -> list[Path]:
    found = {path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}
    return sorted(path for path in found if "__pycache__" not in path.parts)


def fingerprint(paths: Iterable[Path], *extra: str) -> str:
    digest = hashlib.sha256("\0".join((str(ROOT), *extra)).encode())
    for path in paths:
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def step(name: str, key: str, present: bool, action: Callable[[], None]) -> bool:
    """Run ``action`` unless it succeeded before with this key and its result is still there; True if it ran."""
    stamps: dict[str, str] = json.loads(STAMPS.read_text("utf-8")) if STAMPS.exists() else {}
    if present and stamps.get(name) == key:
        return False
    action()
    STAMPS.write_text(json.dumps({**stamps, name: key}, indent=1), encoding="utf-8")
    return True


def venv_version() -> str | None:
    """Version "3.11" of the environment's Python; None where it is absent or broken."""
    probe = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    try:
        result = subprocess.run([str(PYTHON), "-c", probe], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def make_environment() -> None:
    wanted = "{}.{}".format(*sys.version_info[:2])
    found = venv_version()
    if found == wanted:
        return
    if VENV.exists():
        say(f"rebuilding .venv: it {'is broken' if found is None else f'has Python {found}, not {wanted}'}")
    # Inside an activated .venv the running Python is the one about to be replaced: go back to the one it came from.
    base = getattr(sys, "_base_executable", None) or sys.executable
    run(base, "-m", "venv", "--clear", VENV)
    # The pip that Python brings can be years old; older than this it installs source packages in a way of its own.
    run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "pip>=24")


def install_locked(extras: list[str]) -> bool:
    locks = [ROOT / "requirements" / f"{name}.txt" for name in ("runtime", "dev", *extras)]
    arguments = [part for lock in locks for part in ("-r", lock)]

    def install() -> None:
        say("installing the locked packages (about 6 GB with torch on the first run)")
        run(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", *arguments)

    name = "+".join(("packages", *extras))
    return step(name, fingerprint(locks, str(venv_version())), True, install)


def generate_protos() -> bool:
    sources = files("protos/**/*.proto", "scripts/generate_protos.py")
    present = any((ROOT / "voiceclone" / "_proto").glob("**/*_pb2.py"))
    return step("protos", fingerprint(sources), present, lambda: run(PYTHON, "scripts/generate_protos.py"))


def install_editable() -> bool:
    projects = [ROOT, *sorted({path.parent for path in files("plugins/*/pyproject.toml", "plugins/*/setup.py")})]
    sources = files("setup.py", "pyproject.toml", "requirements/*.in", "CMakeLists.txt", "csrc/**/*")
    sources += files("plugins/*/pyproject.toml", "plugins/*/setup.py")
    native = os.environ.get("VOICECLONE_NATIVE", "on")

    def install() -> None:
        say("installing voiceclone and its plugins in place, building the native kernels")
        targets = [part for project in projects for part in ("-e", project)]
        options = ("--disable-pip-version-check", "--no-build-isolation", "--no-deps")
        run(PYTHON, "-m", "pip", "install", *options, *targets, VOICECLONE_NATIVE=native)
        run(PYTHON, "-c", "from voiceclone import ops; print('[setup]', ops.describe())")

    switches = [os.environ.get(name, "") for name in ("VOICECLONE_CUDA", "VOICECLONE_CUDA_ARCHITECTURES", "CXX")]
    present = native in ("off", "0") or bool(files("voiceclone/_C*.so"))
    return step("editable", fingerprint(sources, native, *switches), present, install)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "extras", nargs="*", choices=[[], "train", "quality", "bench", "bench-gpu"], help="further locked packages"
    )
    extras = parser.parse_args().extras
    check_machine()
    (ROOT / "build").mkdir(exist_ok=True)
    with open(ROOT / "build" / ".setup.lock", "w") as lock:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)  # two terminals, one environment
        make_environment()
        ran = [install_locked(extras), generate_protos(), install_editable()]
    say("ready" if any(ran) else "nothing to do")


if __name__ == "__main__":
    main()
