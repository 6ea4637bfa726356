"""Each native op in plain torch: the definition that tests compare with, and the fallback where nothing was built."""

from voiceclone.ops.reference.attention import attention_decode
from voiceclone.ops.reference.conv1d import Convolution, conv1d, resblock, upsample
from voiceclone.ops.reference.coupling import CouplingWeights, coupling
from voiceclone.ops.reference.decode_step import decode_step
from voiceclone.ops.reference.mas import mas
from voiceclone.ops.reference.wavenet import WaveNetWeights, wavenet

__all__ = [
    "Convolution",
    "CouplingWeights",
    "WaveNetWeights",
    "attention_decode",
    "conv1d",
    "coupling",
    "decode_step",
    "mas",
    "resblock",
    "upsample",
    "wavenet",
]
