"""The operations that models stand on: native where they were built, plain torch (`reference`) everywhere."""

from voiceclone.ops._native import NATIVE, NativeStatus
from voiceclone.ops.attention import CacheLayer, attention_decode
from voiceclone.ops.decode_step import DecoderCache, DecoderRows, Steps, decode_step
from voiceclone.ops.mas import Alignment, mas
from voiceclone.ops.pack import DecoderShape, PackedDecoder, pack_decoder, unpack_decoder
from voiceclone.ops.sampling import Sampling, SamplingRows, sampling_rows

__all__ = [
    "Alignment",
    "CacheLayer",
    "DecoderCache",
    "DecoderRows",
    "DecoderShape",
    "NativeStatus",
    "PackedDecoder",
    "Sampling",
    "SamplingRows",
    "Steps",
    "attention_decode",
    "decode_step",
    "describe",
    "mas",
    "pack_decoder",
    "sampling_rows",
    "unpack_decoder",
]


def describe() -> NativeStatus:
    """What the native kernels can do in this process; ``str()`` of it is one line for people."""
    return NATIVE
