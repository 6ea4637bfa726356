"""The layers of voiceclone point one way, and what is heavy is imported only when it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "torchaudio", "transformers", "grpc", "google", "soundfile", "soxr", "gruut", "sqlalchemy"}

#: Layer -> layers it may import, besides itself. A layer is a module or folder directly under voiceclone.
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    "device": {"errors"},
    "audio": {"types", "errors", "host"},
    "host": set(),
    "ops": set(),
    "nn": {"ops", "host"},
    "backend": {"types"},
    "hookspecs": {"backend", "types"},
    "plugins": {"hookspecs", "backend", "types", "errors"},
    "models": {"types", "errors"},
    "registry": {"plugins", "backend", "device", "models", "types", "errors"},
    "engine": {"backend", "types", "errors"},
    "text": {"types", "errors"},
    "lipsync": {"types", "errors", "text"},
    "voices": {"types", "errors", "audio"},
    "checkpoints": {"types", "errors"},
    "training": {"types", "errors", "audio", "text", "nn", "ops", "checkpoints", "lipsync"},
    "server": {"engine", "voices", "models", "registry", "_proto", "plugins", "backend", "types", "errors", "audio",
               "text", "lipsync"},
    "client": {"_proto", "types", "errors", "audio"},
}  # fmt: skip
#: Only these may import the server, and only those two the generated protocol code.
MAY_IMPORT_SERVER = {"cli", "testing", "server"}
MAY_IMPORT_PROTO = {"server", "client", "_proto"}
#: What plugins may use of voiceclone.
PUBLIC = {
    *(
        "",
        "types",
        "errors",
        "backend",
        "hookspecs",
        "ops",
        "nn",
        "text",
        "lipsync",
        "checkpoints",
        "training",
        "testing",
    )
}


def modules() -> list[Path]:
    return [file for file in sorted((ROOT / "voiceclone").rglob("*.py")) if "_proto" not in file.parts]


def light_modules() -> list[Path]:
    """Those that discovery and ``voiceclone --help`` run."""
    light = {"", "types", "errors", "device", "backend", "hookspecs", "plugins", "registry", "models", "engine", "cli"}
    return [file for file in modules() if layer(file) in light]


def layer(file: Path) -> str:
    parts = file.relative_to(ROOT / "voiceclone").with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def package_of(file: Path) -> list[str]:
    return list(file.relative_to(ROOT).parent.parts)


def imported(file: Path, *, at_import_only: bool = False) -> Iterator[str]:
    """Dotted names of the modules that ``file`` imports; ``at_import_only`` leaves out functions and type checking."""
    stack: list[ast.AST] = [tree(file)]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package_of(file)[: -(node.level - 1) or None] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        if at_import_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack.extend(node.orelse)
            continue
        stack.extend(ast.iter_child_nodes(node))


def layers_of(file: Path) -> set[str]:
    """Layers of voiceclone that ``file`` imports."""
    names = [name.split(".") for name in imported(file) if name.split(".")[0] == "voiceclone"]
    known = {layer(module) for module in modules()} | {"_proto"}
    return {parts[1] for parts in names if len(parts) > 1 and parts[1] in known}


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_imports_only_layers_below_it(file: Path) -> None:
    own, used = layer(file), layers_of(file)
    if own in ALLOWED:
        assert used - {own} <= ALLOWED[own], f"{own} must not import {sorted(used - {own} - ALLOWED[own])}"
    if own not in MAY_IMPORT_SERVER:
        assert "server" not in used
    if own not in MAY_IMPORT_PROTO:
        assert "_proto" not in used


def test_every_layer_has_a_rule() -> None:
    assert {layer(file) for file in modules()} <= {*ALLOWED, "", "cli", "testing"}


@pytest.mark.parametrize("file", sorted((ROOT / "plugins").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_plugin_uses_public_names_and_no_other_plugin(file: Path) -> None:
    own = file.relative_to(ROOT / "plugins").parts[0].replace("-", "_")
    if "tests" not in file.parts:
        assert layers_of(file) <= PUBLIC
    others = {name.split(".")[0] for name in imported(file) if name.startswith("voiceclone_")}
    assert others <= {f"voiceclone_{own}"}


def test_the_core_never_imports_a_plugin() -> None:
    for file in modules():
        assert not [name for name in imported(file) if name.startswith("voiceclone_")], file


@pytest.mark.parametrize("file", light_modules(), ids=lambda file: str(file.relative_to(ROOT)))
def test_discovery_and_help_import_nothing_heavy(file: Path) -> None:
    assert not {name.split(".")[0] for name in imported(file, at_import_only=True)} & HEAVY


def test_importing_voiceclone_imports_nothing_heavy() -> None:
    code = "import sys, voiceclone, voiceclone.registry, voiceclone.engine; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {name.split(".")[0] for name in output.split()} & (HEAVY - {"google"})
