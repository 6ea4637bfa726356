"""Finds the plugins installed beside voiceclone; one that is broken is listed with its reason and stops nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points as installed
from pathlib import Path
from typing import Any, TypeVar

import pluggy

from voiceclone import hookspecs
from voiceclone.backend import BackendStatus, judge
from voiceclone.errors import ModelFilesInvalid, describe
from voiceclone.hookspecs import GROUP, PROJECT
from voiceclone.types import Recognised

T = TypeVar("T")


@dataclass(slots=True)
class PluginStatus:
    """One plugin: what it hooks, and what is wrong with it; ``errors`` may hold complaints about one that works."""

    name: str
    version: str = ""
    hooks: tuple[str, ...] = ()
    errors: list[str] = field(default_factory=list)


class Plugins:
    """The plugins of this process. Every hook of every plugin runs guarded: one that raises is recorded and skipped."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self._status: dict[str, PluginStatus] = {}
        self._backends: list[BackendStatus] | None = None

    @property
    def errors(self) -> dict[str, list[str]]:
        """Plugin name -> everything that went wrong with it so far."""
        return {name: list(status.errors) for name, status in self._status.items() if status.errors}

    def plugins(self) -> list[PluginStatus]:
        return list(self._status.values())

    def register(self, plugin: object, name: str, version: str = "") -> None:
        """Add ``plugin``, a module or an object with hook methods, under ``name``; never raises for a broken one."""
        self._backends = None
        status = self._status.setdefault(name, PluginStatus(name, version))
        if self.manager.has_plugin(name):
            return self.fail(name, "another plugin brings the same name; the first one keeps it.")
        try:
            self.manager.register(plugin, name)
        except Exception as error:
            self.manager.unregister(name=name)
            return self.fail(name, f"does not fit the hooks: {describe(error)}")
        callers = self.manager.get_hookcallers(plugin) or []
        status.hooks = tuple(sorted(caller.name for caller in callers))
        status.errors += [f"unknown hook {caller.name!r}." for caller in callers if not caller.has_spec()]

    def fail(self, name: str, reason: str) -> None:
        """Record that the plugin called ``name`` cannot be used."""
        self._backends = None
        self._status.setdefault(name, PluginStatus(name)).errors.append(reason)

    def call(self, hook: str, read: Callable[[Any], T], **arguments: Any) -> Iterator[tuple[str, T]]:
        """Yield (plugin, what ``read`` makes of its result) for each implementation of ``hook``, as registered."""
        for impl in getattr(self.manager.hook, hook).get_hookimpls():
            if os.environ.get("VOICECLONE_TRACE_PLUGINS"):
                print(f"voiceclone: {impl.plugin_name}.{hook}({', '.join(arguments)})", file=sys.stderr)
            try:
                result = read(impl.function(*(arguments[name] for name in impl.argnames)))
            except (Exception, SystemExit) as error:
                self.fail(impl.plugin_name, f"{hook} failed: {describe(error)}")
            else:
                yield impl.plugin_name, result

    def backends(self) -> list[BackendStatus]:
        """Every backend, then every plugin that failed without naming one. Read once and kept."""
        if self._backends is None:
            owners: dict[str, str] = {}
            brought = self.call("voiceclone_backends", list[Any])
            found = [judge(info, name, owners) for name, infos in brought for info in infos]
            named = {status.plugin for status in found}
            broken = [(name, " ".join(reasons)) for name, reasons in self.errors.items() if name not in named]
            self._backends = found + [BackendStatus(None, name, reason) for name, reason in broken]
        return list(self._backends)

    def recognise(self, path: Path) -> Recognised | None:
        """What the first plugin that knows the weights at ``path`` says of them; None where none does.

        Raises ModelFilesInvalid where a plugin knows the layout but the files are damaged.
        """
        for impl in self.manager.hook.voiceclone_recognise.get_hookimpls():
            try:
                found = impl.function(path)
            except ModelFilesInvalid:
                raise
            except (Exception, SystemExit) as error:
                self.fail(impl.plugin_name, f"voiceclone_recognise failed: {describe(error)}")
            else:
                if isinstance(found, Recognised):
                    return found
        return None

    def register_cli(self, cli: Any) -> None:  # typer.Typer, not imported here
        """Let plugins add their commands to ``cli``."""
        list(self.call("voiceclone_register_cli", bool, cli=cli))

    def viseme_map(self, viseme_set: str) -> dict[str, Any]:
        """Phoneme -> viseme name of all plugins; the first plugin that maps a phoneme keeps it."""
        merged: dict[str, Any] = {}
        for _, extra in self.call("voiceclone_viseme_map", lambda result: dict(result or {}), viseme_set=viseme_set):
            merged = {**extra, **merged}
        return merged


def load_plugins(only: Iterable[str] | None = None, disable: Iterable[str] = (), entry_points: bool = True) -> Plugins:
    """Load those in ``only`` less ``disable``. ``VOICECLONE_PLUGINS``: ``a,b`` loads only those, ``-a`` all but it."""
    plugins = Plugins()
    words = {word.strip() for word in os.environ.get("VOICECLONE_PLUGINS", "").split(",")} - {""}
    unwanted = {*disable, *(word[1:] for word in words if word.startswith("-"))}
    wanted = set(only) if only is not None else {word for word in words if not word.startswith("-")} or None
    # Sorted, so that who comes first does not depend on the file system; a folder twice on the path counts once.
    unique = {(point.name, point.value): point for point in (installed(group=GROUP) if entry_points else ())}
    points = [unique[key] for key in sorted(unique) if key[0] not in unwanted and (wanted is None or key[0] in wanted)]
    for point in points:
        try:
            plugins.register(point.load(), point.name, point.dist.version if point.dist else "")
        except (Exception, SystemExit) as error:
            plugins.fail(point.name, f"cannot be imported: {describe(error)}")
    for name in sorted((wanted or set()) - {point.name for point in points} - unwanted):
        plugins.fail(name, "asked for by name but not installed: `pip install` its package.")
    return plugins
