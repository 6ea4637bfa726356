"""The operations that models stand on: native where they were built, plain torch (`reference`) everywhere."""

from voiceclone.ops._native import NATIVE, NativeStatus
from voiceclone.ops.coupling import PackedCoupling, coupling, pack_coupling
from voiceclone.ops.mas import Alignment, mas
from voiceclone.ops.reference import CouplingWeights, WaveNetWeights
from voiceclone.ops.wavenet import PackedWaveNet, pack_wavenet, wavenet

__all__ = [
    "Alignment",
    "CouplingWeights",
    "NativeStatus",
    "PackedCoupling",
    "PackedWaveNet",
    "WaveNetWeights",
    "coupling",
    "describe",
    "mas",
    "pack_coupling",
    "pack_wavenet",
    "wavenet",
]


def describe() -> NativeStatus:
    """What the native kernels can do in this process; ``str()`` of it is one line for people."""
    return NATIVE
