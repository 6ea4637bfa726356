"""One English frontend for all text tests: the dictionary is loaded once."""

from __future__ import annotations

import pytest

from voiceclone.text.english import EnglishFrontend


@pytest.fixture(scope="session")
def frontend() -> EnglishFrontend:
    """A warm frontend."""
    english = EnglishFrontend()
    english.warm_up()
    return english
