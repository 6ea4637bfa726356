"""``voiceclone doctor``: looks at everything a server needs; each finding that is not good names what mends it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from voiceclone.cli.console import show_json
from voiceclone.errors import VoicecloneError, describe


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: ``state`` is ok, warn or fail; ``mend`` is a command or a sentence."""

    check: str
    state: str
    text: str
    mend: str = ""


def doctor(
    port: Annotated[int, typer.Option(help="The port that must be free, or a voiceclone server's.")] = 50051,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Check this machine; exit code 1 if something must be mended."""
    found: list[Finding] = []
    for name, check in _CHECKS.items():
        try:
            findings = list(check(port))
        except Exception as error:  # what a check trips over is itself a finding
            findings = [Finding(name, "fail", describe(error), "voiceclone --debug doctor")]
        found += findings
        for finding in () if as_json else findings:
            colour = {"ok": "green", "warn": "yellow", "fail": "red"}[finding.state]
            typer.secho(finding.state.ljust(5), fg=colour, bold=True, nl=False)
            typer.echo(f"{finding.check}: {finding.text}")
            if finding.mend:
                typer.echo(f"      -> {finding.mend}")
    if as_json:
        show_json([asdict(finding) for finding in found])
    if any(finding.state == "fail" for finding in found):
        raise typer.Exit(1)


def _python(_port: int) -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("python", "ok", f"{version}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs")


def _torch(_port: int) -> Iterator[Finding]:
    if importlib.util.find_spec("torch") is None:
        yield Finding("torch", "fail", "is not installed", "make setup, or: pip install torch")
        return
    import torch

    yield Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Finding("cuda", "ok", f"{torch.version.cuda}: {names}")
    elif shutil.which("nvidia-smi"):
        yield Finding(
            "cuda", "warn", "there is an NVIDIA driver, but this torch cannot use it", "nvidia-smi; make setup"
        )
    else:
        yield Finding("cuda", "ok", "no GPU; the bundled model runs on the CPU")


def _native(_port: int) -> Iterator[Finding]:
    if importlib.util.find_spec("torch") is None:
        return
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says what the finding says
        from voiceclone.host import describe as describe_host
        from voiceclone.ops._native import NATIVE
    state, mend = ("ok", "") if NATIVE.loaded else ("warn", "make setup (needs g++); until then plain torch is used")
    yield Finding("native kernels", state, str(NATIVE).removeprefix("native kernels: "), mend)
    host = describe_host()
    mend = "" if host.loaded else "make setup (needs python3-dev and pybind11); the results are the same without it"
    yield Finding("host classes", "ok" if host.loaded else "warn", str(host).removeprefix("host classes: "), mend)


def _audio(_port: int) -> Iterator[Finding]:
    import numpy as np
    import soundfile

    from voiceclone.audio import Decoder, Encoding, encode_file

    samples = np.sin(np.arange(8000, dtype=np.float32) / 20)
    decoder = Decoder(workers=1)
    try:
        for encoding in (Encoding.WAV, Encoding.FLAC, Encoding.OGG_OPUS, Encoding.OGG_VORBIS, Encoding.MP3):
            try:
                decoder.decode(encode_file(samples, 16000, encoding))
            except (VoicecloneError, RuntimeError, OSError) as error:
                yield Finding(f"audio {encoding.name}", "fail", describe(error), "pip install -U soundfile")
    finally:
        decoder.close()
    yield Finding("audio", "ok", f"soundfile {soundfile.__version__}, {soundfile.__libsndfile_version__}")


def _data(_port: int) -> Iterator[Finding]:
    from voiceclone.voices import VoiceStore, default_directory

    folder = default_directory()
    try:
        store = VoiceStore()
        voices, more = store.list_voices(1000)
        store.close()
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except VoicecloneError as error:
        yield Finding("voices", "fail", error.message, error.hint or f"ls -la {folder}")
        return
    except OSError as error:
        yield Finding("voices", "fail", f"{folder}: {error.strerror}", f"chmod u+rwx {folder}, or set VOICECLONE_HOME")
        return
    state, mend = ("ok", "") if free > 1e9 else ("warn", "free some disk space")
    count = f"{len(voices)}{'+' if more else ''} voices"
    yield Finding("voices", state, f"{count} in {folder}, {free / 1e9:.0f} GB free", mend)


def _plugins(_port: int) -> Iterator[Finding]:
    from voiceclone.plugins import load_plugins
    from voiceclone.registry import Registry

    plugins = load_plugins()
    backends = plugins.backends()
    for plugin in plugins.plugins():
        for error in plugin.errors:
            yield Finding(f"plugin {plugin.name}", "warn", error, "voiceclone plugins; pip install -U its package")
    usable = [item.info.name for item in backends if item.info and not item.error]
    if not usable:
        yield Finding("backends", "fail", "none can be used", "pip install ./plugins/fastspeech2")
        return
    default = Registry(plugins).default_model() if any(item.info and item.info.models for item in backends) else ""
    if default in ("", "tone"):
        text = f"{', '.join(usable)}; none of them has a model that speaks"
        yield Finding("backends", "warn", text, "pip install ./plugins/fastspeech2")
    else:
        yield Finding("backends", "ok", f"{', '.join(usable)}; {default} speaks when no model is named")


def _models(_port: int) -> Iterator[Finding]:
    from voiceclone.models import ModelStore

    store = ModelStore()
    for name in store.names():
        try:
            record = store.verify(name)
            yield Finding(f"model {name}", "ok", f"{len(record.files)} files as they were added")
        except VoicecloneError as error:
            yield Finding(f"model {name}", "fail", error.message, f"voiceclone models remove {name}, then add it again")


def _port(port: int) -> Iterator[Finding]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            yield Finding("port", "ok", f"{port} is free")
            return
        except OSError as error:
            reason = error.strerror
    from voiceclone.client import Client

    try:
        with Client(f"127.0.0.1:{port}", timeout=3.0) as client:
            count = len(client.models())
        yield Finding("port", "ok", f"a voiceclone server with {count} models runs on {port}")
    except VoicecloneError:
        yield Finding("port", "warn", f"{port} cannot be used: {reason}", "voiceclone serve --port 50052")


def _versions(_port: int) -> Iterator[Finding]:
    names = ("voiceclone", "grpcio", "protobuf", "numpy", "safetensors", "SQLAlchemy", "pydantic")
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("packages", "fail", f"missing: {', '.join(missing)}", "make setup")
    if not (Path(__file__).parents[1] / "_proto" / "v1" / "speech_service_pb2.py").exists():
        yield Finding("protocol code", "fail", "was not generated", "make protos")
    yield Finding("packages", "ok", ", ".join(found))


_CHECKS: dict[str, Callable[[int], Iterator[Finding]]] = {
    "python": _python,
    "packages": _versions,
    "torch": _torch,
    "native kernels": _native,
    "audio": _audio,
    "voices": _data,
    "plugins": _plugins,
    "models": _models,
    "port": _port,
}
