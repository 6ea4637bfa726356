"""The operations that models stand on: native where they were built, plain torch (`reference`) everywhere."""

from voiceclone.ops._native import NATIVE, NativeStatus
from voiceclone.ops.conv1d import PackedConv1d, PackedUpsample, conv1d, pack_conv1d, pack_upsample, upsample
from voiceclone.ops.coupling import PackedCoupling, coupling, pack_coupling
from voiceclone.ops.mas import Alignment, mas
from voiceclone.ops.reference import CouplingWeights, WaveNetWeights
from voiceclone.ops.resblock import PackedResblock, pack_resblock, resblock
from voiceclone.ops.wavenet import PackedWaveNet, pack_wavenet, wavenet

__all__ = [
    "Alignment",
    "CouplingWeights",
    "NativeStatus",
    "PackedConv1d",
    "PackedCoupling",
    "PackedResblock",
    "PackedUpsample",
    "PackedWaveNet",
    "WaveNetWeights",
    "conv1d",
    "coupling",
    "describe",
    "mas",
    "pack_conv1d",
    "pack_coupling",
    "pack_resblock",
    "pack_upsample",
    "pack_wavenet",
    "resblock",
    "upsample",
    "wavenet",
]


def describe() -> NativeStatus:
    """What the native kernels can do in this process; ``str()`` of it is one line for people."""
    return NATIVE
