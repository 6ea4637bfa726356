"""Each native op in plain torch: the definition that tests compare with, and the fallback where nothing was built."""

from voiceclone.ops.reference.conv1d import conv1d, resblock, upsample
from voiceclone.ops.reference.mas import mas

__all__ = ["conv1d", "mas", "resblock", "upsample"]
