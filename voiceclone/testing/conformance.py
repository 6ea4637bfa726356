"""The conformance kit: what every backend promises, as tests a plugin's own CI runs.

Write ``class TestMine(BackendConformance): model = "my-model"``, or run ``pytest --voiceclone-model my-model``.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import math
import pickletools
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError
from safetensors import safe_open
from safetensors.numpy import load as load_safetensors

from voiceclone.backend import Model
from voiceclone.errors import InvalidRequest, SampleRejected, VoicecloneError
from voiceclone.models import ModelStore
from voiceclone.plugins import load_plugins
from voiceclone.registry import LoadedModel, Registry
from voiceclone.testing.speaking import Spoken, speak, speak_together, vowel
from voiceclone.types import Chunk, Reference, TextSpan, Timing, TimingKind, Utterance

TEXTS = ("The quick brown fox jumps.", "One, two, three.", "Good morning to you all!")
LONG_TEXT = "This sentence is here to be long enough for more than one step. " * 4
ODD_TEXTS = {
    "empty": "",
    "blanks": " \n\t ",
    "punctuation": "... ?! -- (;)",
    "emoji": "Hello 👋🏽 world 🎉",
    "emoji_only": "🎉🎉",
    "mixed_script": "Hello мир 世界 مرحبا",
    "combining": "e\u0301\u0301\u0301 na\u0308ive Zürich",
    "control": "tab\there\x00and\x07there\u202eback",
    "one_letter": "a",
    "long_word": "pneumono" * 30,
    "numbers": "On 3/4/2021 it cost $1,234.50, i.e. 7%.",
    "newlines": "first line\nsecond line\r\n\r\nthird",
}

__all__ = ["BackendConformance", "Reference", "vowel"]


class BackendConformance:
    """Subclass it, name the model, and adapt below what the model needs."""

    #: Name of an installed model.
    model: ClassVar[str] = ""
    device: ClassVar[str] = "cpu"
    #: Fields of every utterance the kit makes, such as ``{"language": "de"}``.
    utterance: ClassVar[dict[str, Any]] = {}
    #: Texts the model can speak, for all tests but those of odd texts.
    texts: ClassVar[tuple[str, str, str]] = TEXTS
    long_text: ClassVar[str] = LONG_TEXT
    #: Largest difference of a sample spoken in a batch to one spoken alone; 0.0 means bit for bit.
    batch_tolerance: ClassVar[float] = 0.0

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls) -> Registry:
        return cls.open_registry()

    @classmethod
    def open_registry(cls) -> Registry:
        """The models of the plugins, and those that were added with `voiceclone models add`."""
        return Registry(load_plugins(), store=ModelStore(), device=cls.device)

    @pytest.fixture(scope="class")
    @classmethod
    def loaded(cls, registry: Registry) -> Iterator[LoadedModel]:
        """The model under test, loaded once for the class."""
        assert cls.model, f"{cls.__name__} must set `model` to the name of an installed model"
        yield registry.load(cls.model)
        registry.unload(cls.model)

    @pytest.fixture
    def subject(self, loaded: LoadedModel) -> Model:
        return loaded.model

    @pytest.fixture(scope="class")
    @classmethod
    def references(cls) -> list[Reference]:
        """Recordings of one speaker; override it with real speech where the model needs that."""
        return [vowel(transcript="Ah, ah, ah.")]

    @pytest.fixture(scope="class")
    @classmethod
    def voice(cls, loaded: LoadedModel, references: list[Reference]) -> bytes:
        return loaded.model.encode_voice(references)

    def say(self, subject: Model, voice: bytes, text: str, **more: Any) -> Utterance:
        options = more.pop("options", None) or subject.options()
        return Utterance(**{"text": text, "voice": voice, "seed": 1, "options": options, **self.utterance, **more})

    # -- what the plugin says of itself -------------------------------------------------------------------------------

    def test_discovery_imports_nothing_heavy(self) -> None:
        code = (
            "import sys; from voiceclone.models import ModelStore\n"
            "from voiceclone.plugins import load_plugins; from voiceclone.registry import Registry\n"
            "names = [s.info.name for s in Registry(load_plugins(), store=ModelStore()).models()]\n"
            f"assert {self.model!r} in names, names\n"
            "heavy = sorted({'torch', 'transformers', 'jax', 'tensorflow', 'grpc'} & set(sys.modules))\n"
            "assert not heavy, f'importing the plugin imports {heavy}'"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr

    def test_backend_info_is_plain_data(self, registry: Registry) -> None:
        info = registry.status(self.model).info
        (backend,) = [status for status in registry.backends() if status.info and status.info.name == info.backend]
        assert backend.error is None
        assert backend.info is not None
        json.dumps(dataclasses.asdict(backend.info))
        assert info.revision, "a revision tells cached voices of one set of weights from those of another"
        assert info.licence, "callers must be able to see what they may do with the model"

    def test_capabilities_are_possible(self, subject: Model) -> None:
        capabilities = subject.capabilities
        assert 8_000 <= capabilities.sample_rate <= 96_000
        assert capabilities.languages
        assert capabilities.max_batch_size >= 1
        assert capabilities.max_input_chars >= 1

    def test_every_option_is_described(self, subject: Model) -> None:
        assert issubclass(subject.options, BaseModel)
        subject.options()  # every option has a default
        for name, schema in subject.options.model_json_schema().get("properties", {}).items():
            assert schema.get("description"), f"option {name!r} has no description"

    def test_an_unknown_option_is_refused(self, subject: Model) -> None:
        with pytest.raises(ValidationError):
            subject.options.model_validate({"no_such_option": 1})

    def test_memory_bytes_is_a_size(self, subject: Model) -> None:
        assert subject.memory_bytes() >= 0

    # -- voices -------------------------------------------------------------------------------------------------------

    def test_a_voice_is_safetensors_and_no_pickle(self, voice: bytes, tmp_path: Any) -> None:
        assert isinstance(voice, bytes)
        path = tmp_path / "voice.safetensors"
        path.write_bytes(voice)
        with safe_open(path, "numpy") as tensors:
            assert list(tensors.keys()), "the voice holds no tensor"
        assert all(np.isfinite(tensor).all() for tensor in load_safetensors(voice).values() if tensor.dtype.kind == "f")
        with pytest.raises((ValueError, IndexError, UnicodeDecodeError)):
            list(pickletools.genops(voice))

    def test_a_voice_is_the_same_each_time_and_from_any_thread(
        self, subject: Model, references: list[Reference], voice: bytes
    ) -> None:
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(subject.encode_voice, references) for _ in range(4)]
        assert all(future.result() == voice for future in futures)

    @pytest.mark.parametrize("flaw", ["silence", "short", "empty", "nan"])
    def test_a_bad_recording_is_refused_with_a_reason(self, subject: Model, flaw: str) -> None:
        rate = 16_000
        samples = {
            "silence": np.zeros(3 * rate, np.float32),
            "short": vowel(seconds=0.02).samples,
            "empty": np.zeros(0, np.float32),
            "nan": np.full(3 * rate, np.nan, np.float32),
        }[flaw]
        with pytest.raises(SampleRejected):
            subject.encode_voice([Reference(samples, rate, "Ah.", "en")])

    def test_no_recording_at_all_is_refused(self, subject: Model) -> None:
        with pytest.raises(VoicecloneError):
            subject.encode_voice([])

    def test_a_foreign_voice_is_refused(self, subject: Model) -> None:
        for foreign in (b"", b"no safetensors at all", b"\x80\x04K\x01."):
            with pytest.raises(VoicecloneError):
                speak(subject, self.say(subject, foreign, self.texts[0]))

    # -- audio --------------------------------------------------------------------------------------------------------

    def test_audio_is_float32_and_in_range(self, subject: Model, voice: bytes) -> None:
        for text in self.texts:
            spoken = speak(subject, self.say(subject, voice, text))
            _check_audio(spoken.chunks)
            seconds = len(spoken.audio) / subject.capabilities.sample_rate
            assert 0.2 < seconds < 60, f"{seconds:.2f} s of audio for {text!r}"
            assert np.sqrt(np.mean(np.square(spoken.audio))) > 1e-4, "the audio is silent"

    def test_streaming_means_several_steps(self, subject: Model, voice: bytes) -> None:
        spoken = speak(subject, self.say(subject, voice, self.long_text))
        if subject.capabilities.streaming:
            assert sum(len(chunk.samples) > 0 for chunk in spoken.chunks) > 1
            assert spoken.steps > 1, "a step must be bounded: cancelling can take effect only between steps"

    def test_equal_seeds_give_equal_audio(self, subject: Model, voice: bytes) -> None:
        first = speak(subject, self.say(subject, voice, self.texts[0], seed=7))
        speak(subject, self.say(subject, voice, self.texts[1], seed=8))
        again = speak(subject, self.say(subject, voice, self.texts[0], seed=7))
        assert np.array_equal(first.audio, again.audio)
        assert first.timings == again.timings

    def test_other_seeds_give_other_audio(self, subject: Model, voice: bytes) -> None:
        if not subject.capabilities.seed:
            pytest.skip("the model's capabilities say that it takes no seed")
        takes = [speak(subject, self.say(subject, voice, self.texts[0], seed=seed)).audio for seed in range(4)]
        assert any(not np.array_equal(takes[0], take) for take in takes[1:])

    def test_a_batch_says_what_each_says_alone(self, subject: Model, voice: bytes) -> None:
        utterances = [self.say(subject, voice, text, seed=seed) for seed, text in enumerate(self.texts)]
        self._check_same([speak(subject, one) for one in utterances], speak_together(subject, utterances))

    def test_the_order_of_steps_does_not_matter(self, subject: Model, voice: bytes) -> None:
        utterances = [self.say(subject, voice, text, seed=seed) for seed, text in enumerate(self.texts)]
        alone = [speak(subject, one) for one in utterances]
        for turns in ([[2], [2], [0], [1, 2], [0, 1]], [[1, 0], [2, 1], [0]], [[0]] * 50 + [[1]] * 50):
            self._check_same(alone, speak_together(subject, utterances, turns=turns))

    def _check_same(self, alone: list[Spoken], together: list[Spoken]) -> None:
        for one, other in zip(alone, together, strict=True):
            assert other.error is None
            assert len(one.audio) == len(other.audio)
            assert np.abs(one.audio - other.audio).max() <= self.batch_tolerance
            assert one.timings == other.timings

    def test_warming_up_changes_nothing(self, subject: Model, voice: bytes) -> None:
        before = speak(subject, self.say(subject, voice, self.texts[0]))
        subject.warm_up()
        subject.warm_up()
        assert np.array_equal(before.audio, speak(subject, self.say(subject, voice, self.texts[0])).audio)

    def test_speaking_rate_is_the_inverse_of_duration(self, subject: Model, voice: bytes) -> None:
        if not subject.capabilities.speaking_rate:
            pytest.skip("the model's capabilities say that its rate is fixed")
        slow, fast = (
            len(speak(subject, self.say(subject, voice, self.long_text, speaking_rate=rate)).audio)
            for rate in (0.8, 1.6)
        )
        assert 1.5 < slow / fast < 2.7

    # -- texts --------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("name", ODD_TEXTS)
    def test_odd_text_gives_audio_or_a_typed_error(self, subject: Model, voice: bytes, name: str) -> None:
        try:
            spoken = speak(subject, self.say(subject, voice, ODD_TEXTS[name]))
        except VoicecloneError:
            return
        _check_audio(spoken.chunks)
        _check_timings(spoken, ODD_TEXTS[name])

    def test_text_over_the_limit_is_refused(self, subject: Model, voice: bytes) -> None:
        text = "word " * (subject.capabilities.max_input_chars // 5 + 2)
        with pytest.raises(InvalidRequest):
            subject.release(subject.open(self.say(subject, voice, text)))

    # -- timings ------------------------------------------------------------------------------------------------------

    def test_timings_are_of_the_kinds_promised(self, subject: Model, voice: bytes) -> None:
        for text in self.texts:
            kinds = {timing.kind for timing in speak(subject, self.say(subject, voice, text)).timings}
            assert kinds == set(subject.capabilities.timings) - {TimingKind.MARK}

    def test_timings_lie_inside_audio_and_text(self, subject: Model, voice: bytes) -> None:
        for text in (*self.texts, self.long_text):
            _check_timings(speak(subject, self.say(subject, voice, text)), text)

    # -- sessions and memory ------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("steps", [0, 1, 2])
    def test_release_at_any_point_leaves_the_model_usable(self, subject: Model, voice: bytes, steps: int) -> None:
        expected = speak(subject, self.say(subject, voice, self.texts[1]))
        leaving = subject.open(self.say(subject, voice, self.long_text))
        for _ in range(steps):
            subject.step([leaving])
        subject.release(leaving)
        assert np.array_equal(expected.audio, speak(subject, self.say(subject, voice, self.texts[1])).audio)

    def test_release_of_one_does_not_touch_another(self, subject: Model, voice: bytes) -> None:
        expected = speak(subject, self.say(subject, voice, self.texts[0])).audio
        staying = subject.open(self.say(subject, voice, self.texts[0]))
        leaving = subject.open(self.say(subject, voice, self.long_text))
        chunks = list(subject.step([staying])[0].chunks)
        subject.step([leaving])
        subject.release(leaving)
        for _ in range(10_000):
            (step,) = subject.step([staying])
            chunks += step.chunks
            if step.done:
                break
        subject.release(staying)
        assert np.array_equal(expected, np.concatenate([chunk.samples for chunk in chunks]))

    def test_an_open_that_refuses_keeps_nothing(self, subject: Model, voice: bytes) -> None:
        before = subject.memory_bytes()
        for _ in range(20):
            with pytest.raises(VoicecloneError):
                speak(subject, self.say(subject, b"no voice", self.texts[0]))
        assert subject.memory_bytes() <= before

    def test_sessions_give_their_memory_back(self, subject: Model, voice: bytes) -> None:
        speak(subject, self.say(subject, voice, self.long_text))
        before = subject.memory_bytes()
        for seed in range(8):
            session = subject.open(self.say(subject, voice, self.long_text, seed=seed))
            subject.step([session])
            subject.release(session)
        assert subject.memory_bytes() <= before

    def test_close_gives_the_memory_back(self) -> None:
        registry = self.open_registry()
        used: list[int] = []
        for _ in range(2):
            model = registry.load(self.model).model
            watcher = weakref.ref(model)
            del model
            registry.unload(self.model)
            gc.collect()
            assert watcher() is None, "something keeps the closed model alive"
            used.append(_device_bytes())
        assert used[1] <= used[0], f"{used[1] - used[0]} bytes of the device stay taken after close()"


def _device_bytes() -> int:
    """Bytes torch holds on the GPU; 0 where it is not in use."""
    torch = sys.modules.get("torch")
    return int(torch.cuda.memory_allocated()) if torch is not None and torch.cuda.is_available() else 0


def _check_audio(chunks: list[Chunk]) -> None:
    for chunk in chunks:
        assert isinstance(chunk.samples, np.ndarray)
        assert chunk.samples.dtype == np.float32
        assert chunk.samples.ndim == 1
        assert np.isfinite(chunk.samples).all()
        assert np.abs(chunk.samples).max(initial=0.0) <= 1.0


def _check_timings(spoken: Spoken, text: str) -> None:
    """Each timing leaves with the chunk its start lies in, in order, inside the audio, with a span inside the text."""
    begin, total = 0, len(spoken.audio)
    last: dict[TimingKind, Timing] = {}
    for chunk in spoken.chunks:
        end = begin + len(chunk.samples)
        for timing in chunk.timings:
            assert begin <= timing.start_sample <= end, f"{timing} came with the chunk of samples {begin}..{end}"
            assert timing.sample_count >= 0
            assert timing.start_sample + timing.sample_count <= total, f"{timing} ends after the audio ({total})"
            assert math.isfinite(timing.weight)
            before = last.get(timing.kind)
            assert before is None or before.start_sample <= timing.start_sample, f"{timing} comes after {before}"
            _check_span(timing.span, text)
            last[timing.kind] = timing
        if chunk.segment is not None:
            _check_span(chunk.segment.span, text)
        begin = end


def _check_span(span: TextSpan | None, text: str) -> None:
    assert span is None or 0 <= span.begin <= span.end <= len(text), f"{span} is outside a text of {len(text)}"
