"""Generates ``voiceclone/_proto`` from ``protos/``: messages, services and type stubs, importable from one package."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

#: Where the contract of version 1 stands, and the package its Python form becomes.
_SOURCE = "voiceclone/v1"
_PACKAGE = "voiceclone._proto.v1"


def generate(root: Path) -> None:
    """Bring ``root/voiceclone/_proto`` up to date with ``root/protos``; does nothing where it is.

    Raises RuntimeError when a file of the contract does not compile.
    """
    sources = sorted((root / "protos" / _SOURCE).glob("*.proto"))
    target = root / "voiceclone" / "_proto"
    digest = _digest(sources)
    stamp = target / "digest.txt"
    if stamp.exists() and stamp.read_text() == digest:
        return
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        _compile(root / "protos", sources, made, Path(folder) / "include")
        package = made / "_proto"
        shutil.move(made / _SOURCE, package / "v1")
        for path in [*(package / "v1").glob("*.py"), *(package / "v1").glob("*.pyi")]:
            path.write_text(_rewrite(path.read_text()))
        for place in (package, package / "v1"):
            (place / "__init__.py").write_text('"""Generated from protos/; never edited."""\n')
        (package / "digest.txt").write_text(digest)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(package, target)


def _digest(sources: list[Path]) -> str:
    """Of all that decides the output: the contract, this script, and the compiler's version."""
    whole = hashlib.sha256(metadata.version("grpcio-tools").encode())
    for path in [Path(__file__), *sources]:
        whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()


def _compile(protos: Path, sources: list[Path], target: Path, include: Path) -> None:
    from grpc_tools import protoc

    target.mkdir()
    common = _folder("google.api.annotations_pb2").parents[1]
    # The wheel names this file otherwise than the descriptor that it registers when imported.
    longrunning = include / "google" / "longrunning"
    longrunning.mkdir(parents=True)
    shutil.copy(common / "google/longrunning/operations_proto.proto", longrunning / "operations.proto")
    well_known = _folder("grpc_tools.protoc") / "_proto"
    arguments = ["protoc", *(f"-I{place}" for place in (protos, include, common, well_known))]
    arguments += [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main([*arguments, *(str(path) for path in sources)]) != 0:
        raise RuntimeError(f"{protos.name}/{_SOURCE} does not compile; the compiler's message stands above.")


def _folder(module: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{module} is missing: install grpcio-tools and googleapis-common-protos.")
    return Path(spec.origin).parent


def _rewrite(text: str) -> str:
    """Make imports of sibling modules absolute inside the package; the names of the messages stay as they are."""
    return re.sub(rf"^from {_SOURCE.replace('/', '.')} import", f"from {_PACKAGE} import", text, flags=re.MULTILINE)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
