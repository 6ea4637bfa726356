"""The values that travel through voiceclone: audio chunks, timings, utterances and what a backend says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]


class TimingKind(str, Enum):
    """What a timing event names."""

    SENTENCE = "sentence"
    WORD = "word"
    PHONEME = "phoneme"
    VISEME = "viseme"
    MARK = "mark"


class TimingSource(str, Enum):
    """How far a timing can be trusted: the model's own, an alignment of finished audio, or an even spread."""

    MODEL = "model"
    ALIGNER = "aligner"
    ESTIMATE = "estimate"


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Unicode code points ``[begin, end)`` of the text exactly as the caller sent it."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Timing:
    """One timed thing; samples count from the start of the utterance at the model's rate."""

    kind: TimingKind
    start_sample: int
    sample_count: int
    #: The word, the IPA phoneme (empty for silence), the viseme's name or the mark's name.
    label: str
    span: TextSpan | None = None
    viseme_id: int = 0
    weight: float = 1.0
    source: TimingSource = TimingSource.MODEL


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text (mostly a sentence) whose audio begins with the chunk that carries it."""

    index: int
    span: TextSpan
    normalized_text: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of audio: ``samples`` float32 ``[T]`` in -1..1, and the timings that start inside it."""

    samples: Samples
    timings: tuple[Timing, ...] = ()
    segment: Segment | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """One recording of a speaker: ``samples`` float32 mono ``[T]`` at ``sample_rate`` Hz."""

    samples: Samples
    sample_rate: int
    transcript: str = ""
    language: str = ""


class PhoneticAlphabet(str, Enum):
    """How a pronunciation is written."""

    IPA = "ipa"
    ARPABET = "arpabet"
    X_SAMPA = "x-sampa"


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """How one phrase is to be said, whatever a lexicon holds."""

    phrase: str
    alphabet: PhoneticAlphabet
    value: str


@dataclass(frozen=True, slots=True)
class Utterance:
    """All that a backend needs to speak one request; the engine adds nothing to it later."""

    text: str
    #: Conditioning made by ``Model.encode_voice``; safetensors bytes.
    voice: bytes
    language: str = ""
    #: Equal seeds give equal samples, whatever else is being synthesised.
    seed: int = 0
    #: Duration is divided by this: 2.0 is twice as fast.
    speaking_rate: float = 1.0
    pitch_semitones: float = 0.0
    temperature: float | None = None
    style: str = ""
    #: Set when ``text`` is phonemes in this alphabet, not words.
    alphabet: PhoneticAlphabet | None = None
    pronunciations: tuple[Pronunciation, ...] = ()
    preceding_text: str = ""
    following_text: str = ""
    #: An instance of the model's ``options`` class, validated before the backend sees it.
    options: Any = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one model can do; shown by ListModels and checked before a request is admitted."""

    languages: tuple[str, ...]
    sample_rate: int
    timings: tuple[TimingKind, ...] = ()
    cloning: bool = True
    #: Audio leaves before the whole utterance is done.
    streaming: bool = True
    seed: bool = True
    speaking_rate: bool = False
    pitch: bool = False
    phoneme_input: bool = False
    pronunciations: bool = False
    temperature: bool = False
    #: The values of ``Utterance.style`` that the model knows.
    styles: tuple[str, ...] = ()
    max_input_chars: int = 5000
    max_batch_size: int = 1


class Isolation(str, Enum):
    """Where a backend's steps run."""

    THREAD = "thread"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model by name: which backend speaks it, where its files are, and under which licence."""

    name: str
    backend: str
    #: Changes when the weights change: conditioning and caches are kept per revision.
    revision: str
    summary: str = ""
    licence: str = ""
    #: A folder or file with the weights; None where the backend needs none.
    path: str | None = None
    #: Data that the backend's factory understands.
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a plugin knows of weights that somebody wants to add: its backend, and the files it will read."""

    backend: str
    #: Relative to the folder; nothing else of it is listed, and pickles among them are read without running code.
    files: tuple[str, ...]
    summary: str = ""


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """A backend as data: discovery imports no torch and loads no weights to read it."""

    name: str
    version: str
    summary: str
    #: ``"package.module:callable"``, called with ``(ModelInfo, device)``; returns a :class:`voiceclone.backend.Model`.
    factory: str
    licence: str = ""
    #: Models that come with the plugin.
    models: tuple[ModelInfo, ...] = ()
    #: Version of the backend protocol this was written for: (major, minor).
    api: tuple[int, int] = (1, 0)
    isolation: Isolation = Isolation.THREAD
    requires: tuple[str, ...] = ()
    #: Kinds of device it runs on, best first; ``auto`` takes the first one this machine has.
    devices: tuple[str, ...] = ("cuda", "cpu")
