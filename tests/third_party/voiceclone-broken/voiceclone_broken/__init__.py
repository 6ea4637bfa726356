"""One class for each fault that shows only after the import."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from voiceclone import BackendInfo, ModelInfo, hookimpl


def info(name: str) -> BackendInfo:
    model = ModelInfo(f"{name}-model", backend=name, revision="1")
    return BackendInfo(name, "0.1.0", "Broken.", "voiceclone_broken:no_such_factory", models=(model,))


class WrongSignature:
    @staticmethod
    @hookimpl
    def voiceclone_backends(no_such_argument: int) -> Iterable[BackendInfo]:
        return []


class Raises:
    @staticmethod
    @hookimpl
    def voiceclone_backends() -> Iterable[BackendInfo]:
        raise RuntimeError("no backends today")

    @staticmethod
    @hookimpl
    def voiceclone_register_cli(cli: Any) -> None:
        raise RuntimeError("no commands today")

    @staticmethod
    @hookimpl
    def voiceclone_viseme_map(viseme_set: str) -> int:
        return 7


class RaisesLate:
    @staticmethod
    @hookimpl
    def voiceclone_backends() -> Iterable[BackendInfo]:
        yield info("half")
        raise SystemExit(3)


class WrongApi:
    @staticmethod
    @hookimpl
    def voiceclone_backends() -> Iterable[BackendInfo]:
        return [replace(info("future"), api=(99, 0))]


class Clash:
    @staticmethod
    @hookimpl
    def voiceclone_backends() -> Iterable[BackendInfo]:
        return [info("twice"), info("twice")]


class WrongKind:
    @staticmethod
    @hookimpl
    def voiceclone_backends() -> Iterable[Any]:
        return ["a string"]


class UnknownHook:
    @staticmethod
    @hookimpl
    def voiceclone_backends() -> Iterable[BackendInfo]:
        return []

    @staticmethod
    @hookimpl
    def voiceclone_no_such_hook() -> None: ...


class BadFactory:
    @staticmethod
    @hookimpl
    def voiceclone_backends() -> Iterable[BackendInfo]:
        return [replace(info("crooked"), factory="no_colon")]
