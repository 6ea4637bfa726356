"""Each native op in plain torch: the definition that tests compare with, and the fallback where nothing was built."""

from voiceclone.ops.reference.attention import attention_decode
from voiceclone.ops.reference.decode_step import decode_step
from voiceclone.ops.reference.mas import mas

__all__ = ["attention_decode", "decode_step", "mas"]
