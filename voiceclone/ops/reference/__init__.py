"""Each native op in plain torch: the definition that tests compare with, and the fallback where nothing was built."""

from voiceclone.ops.reference.conv1d import Convolution, conv1d, resblock, upsample
from voiceclone.ops.reference.coupling import CouplingWeights, coupling
from voiceclone.ops.reference.mas import mas
from voiceclone.ops.reference.wavenet import WaveNetWeights, wavenet

__all__ = [
    "Convolution",
    "CouplingWeights",
    "WaveNetWeights",
    "conv1d",
    "coupling",
    "mas",
    "resblock",
    "upsample",
    "wavenet",
]
