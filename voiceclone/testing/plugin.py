"""The pytest plugin: ``--voiceclone-model NAME`` runs the conformance kit; a fixture gives tests a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from voiceclone.testing.server import ServerFixture

KIT = Path(__file__).with_name("kit.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("voiceclone")
    group.addoption("--voiceclone-model", metavar="NAME", help="run the conformance kit on this installed model")
    group.addoption("--voiceclone-device", metavar="DEVICE", default="cpu", help="device of the kit (default: cpu)")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--voiceclone-model") is None:
        return
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        config.args.append(str(KIT))
    else:  # nothing named on the command line: the kit alone, not the tests that happen to lie here
        config.args[:] = [str(KIT)]


@pytest.fixture
def voiceclone_server(tmp_path: Path) -> Iterator[ServerFixture]:
    """A real server with the tone model on a free port of the loopback address, its data in ``tmp_path``."""
    from voiceclone.testing.server import running_server

    with running_server(tmp_path) as server:
        yield server
