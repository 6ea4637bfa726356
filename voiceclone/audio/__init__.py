"""Sample formats: what bytes are (sniff), bytes to samples (decode), rates (resample), samples to bytes (encode)."""

from voiceclone.audio.decode import Decoded, Decoder, decode, to_mono
from voiceclone.audio.encode import StreamEncoder, check_encoding, encode_file, pcm_s16, streaming_wav_header
from voiceclone.audio.formats import MAX_RATE, MIN_RATE, Encoding, RawFormat
from voiceclone.audio.resample import StreamResampler, resample
from voiceclone.audio.sniff import Container, sniff

__all__ = [
    "MAX_RATE",
    "MIN_RATE",
    "Container",
    "Decoded",
    "Decoder",
    "Encoding",
    "RawFormat",
    "StreamEncoder",
    "StreamResampler",
    "check_encoding",
    "decode",
    "encode_file",
    "pcm_s16",
    "resample",
    "sniff",
    "streaming_wav_header",
    "to_mono",
]
