"""Safe reading of weight files that others wrote: no code in them runs, whatever their format."""

from voiceclone.checkpoints.matching import load_into
from voiceclone.checkpoints.reading import Record, read_json, read_payload
from voiceclone.checkpoints.unwrapping import find_tensors, strip_prefix
from voiceclone.checkpoints.weight_norm import adapt_weight_norm, old_spelling

__all__ = [
    "Record", "adapt_weight_norm", "find_tensors", "load_into", "old_spelling", "read_json", "read_payload",
    "strip_prefix",
]  # fmt: skip
