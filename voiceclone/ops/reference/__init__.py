"""Each native op in plain torch: the definition that tests compare with, and the fallback where nothing was built."""

from voiceclone.ops.reference.conv1d import Convolution, conv1d, resblock, upsample
from voiceclone.ops.reference.mas import mas
from voiceclone.ops.reference.snake import snake

__all__ = ["Convolution", "conv1d", "mas", "resblock", "snake", "upsample"]
