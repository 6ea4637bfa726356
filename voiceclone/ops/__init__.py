"""The operations that models stand on: native where they were built, plain torch (`reference`) everywhere."""

from voiceclone.ops._native import NATIVE, NativeStatus
from voiceclone.ops.conv1d import PackedConv1d, PackedUpsample, conv1d, pack_conv1d, pack_upsample, upsample
from voiceclone.ops.mas import Alignment, mas
from voiceclone.ops.resblock import PackedResblock, pack_resblock, resblock
from voiceclone.ops.snake import snake

__all__ = [
    "Alignment",
    "NativeStatus",
    "PackedConv1d",
    "PackedResblock",
    "PackedUpsample",
    "conv1d",
    "describe",
    "mas",
    "pack_conv1d",
    "pack_resblock",
    "pack_upsample",
    "resblock",
    "snake",
    "upsample",
]


def describe() -> NativeStatus:
    """What the native kernels can do in this process; ``str()`` of it is one line for people."""
    return NATIVE
