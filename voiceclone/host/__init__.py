"""State that lives on the host: pages of a KV cache, PCM on its way out.

In C++ where `voiceclone._host` was built, else in Python, with equal results; ``describe()`` says which one runs.
"""

from typing import TYPE_CHECKING

from voiceclone.host._native import HOST, HostStatus

if TYPE_CHECKING or not HOST.loaded:
    from voiceclone.host.pages import Exhausted, Pages, Sequences
    from voiceclone.host.pcm import PcmChunker, to_pcm16
else:
    from voiceclone._host import Exhausted, Pages, PcmChunker, Sequences, to_pcm16

__all__ = ["Exhausted", "HostStatus", "Pages", "PcmChunker", "Sequences", "describe", "to_pcm16"]


def describe() -> HostStatus:
    """What runs in this process; ``str()`` of it is one line for people."""
    return HOST
