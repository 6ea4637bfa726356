"""The operations that models stand on: native where they were built, plain torch (`reference`) everywhere."""

from voiceclone.ops._native import NATIVE, NativeStatus
from voiceclone.ops.attention import CacheLayer, attention_decode
from voiceclone.ops.gaussian import expand, gaussian_mas, gaussian_score
from voiceclone.ops.mas import Alignment, mas

__all__ = [
    "Alignment",
    "CacheLayer",
    "NativeStatus",
    "attention_decode",
    "describe",
    "expand",
    "gaussian_mas",
    "gaussian_score",
    "mas",
]


def describe() -> NativeStatus:
    """What the native kernels can do in this process; ``str()`` of it is one line for people."""
    return NATIVE
