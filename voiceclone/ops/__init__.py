"""The operations that models stand on: native where they were built, plain torch (`reference`) everywhere."""

from voiceclone.ops._native import NATIVE, NativeStatus
from voiceclone.ops.attention import CacheLayer, attention_decode
from voiceclone.ops.conv1d import PackedConv1d, PackedUpsample, conv1d, pack_conv1d, pack_upsample, upsample
from voiceclone.ops.coupling import PackedCoupling, coupling, pack_coupling
from voiceclone.ops.decode_step import DecoderCache, DecoderRows, Steps, decode_step
from voiceclone.ops.mas import Alignment, mas
from voiceclone.ops.pack import DecoderShape, PackedDecoder, pack_decoder, unpack_decoder
from voiceclone.ops.reference import CouplingWeights, WaveNetWeights
from voiceclone.ops.resblock import PackedResblock, pack_resblock, resblock
from voiceclone.ops.sampling import Sampling, SamplingRows, sampling_rows
from voiceclone.ops.wavenet import PackedWaveNet, pack_wavenet, wavenet

__all__ = [
    "Alignment",
    "CacheLayer",
    "CouplingWeights",
    "DecoderCache",
    "DecoderRows",
    "DecoderShape",
    "NativeStatus",
    "PackedConv1d",
    "PackedCoupling",
    "PackedDecoder",
    "PackedResblock",
    "PackedUpsample",
    "PackedWaveNet",
    "Sampling",
    "SamplingRows",
    "Steps",
    "WaveNetWeights",
    "attention_decode",
    "conv1d",
    "coupling",
    "decode_step",
    "describe",
    "mas",
    "pack_conv1d",
    "pack_coupling",
    "pack_decoder",
    "pack_resblock",
    "pack_upsample",
    "pack_wavenet",
    "resblock",
    "sampling_rows",
    "unpack_decoder",
    "upsample",
    "wavenet",
]


def describe() -> NativeStatus:
    """What the native kernels can do in this process; ``str()`` of it is one line for people."""
    return NATIVE
