"""Models to train from nothing: the published sizes of VITS and VITS2, one in between, and those of a config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from voiceclone.checkpoints import read_json
from voiceclone.errors import InvalidRequest, ModelFilesInvalid
from voiceclone.nn.hifigan import GeneratorConfig
from voiceclone_vits.checkpoint import Checkpoint
from voiceclone_vits.config import (
    AudioConfig,
    DurationConfig,
    FlowConfig,
    FlowKind,
    PosteriorConfig,
    SpeakerKind,
    TextConfig,
    VitsConfig,
)
from voiceclone_vits.layouts.original import audio_config
from voiceclone_vits.layouts.shapes import setting
from voiceclone_vits.symbols import VITS_SYMBOLS, Alphabet, SymbolTable, numbered

#: Channels of a speaker's row where the original has several.
_SPEAKER_CHANNELS: Final = 256


@dataclass(frozen=True)
class Preset:
    """A model without weights, and what its recipe does that VITS's own does not."""

    description: str
    config: VitsConfig
    blank: bool = True
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def checkpoint(self, speakers: tuple[str, ...]) -> Checkpoint:
        """The model with a speaker table where there are several ``speakers``, and the 178 published symbols."""
        symbols = SymbolTable(numbered(VITS_SYMBOLS), Alphabet.IPA, 0 if self.blank else None)
        return Checkpoint("voiceclone", with_speakers(self.config, len(speakers)), {}, symbols,
                          speakers if len(speakers) > 1 else ())  # fmt: skip


def with_speakers(config: VitsConfig, count: int) -> VitsConfig:
    """``config`` for ``count`` speakers; one needs no table."""
    if count <= 1:
        return replace(
            config, speaker_channels=0, duration=replace(config.duration, speaker=False),
            text=replace(config.text, speaker_layer=None),
        )  # fmt: skip
    channels = config.speaker_channels or _SPEAKER_CHANNELS
    return replace(
        config, speaker_kind=SpeakerKind.NUMBER, speakers=count, speaker_channels=channels,
        decoder=replace(config.decoder, speaker=channels),
    )  # fmt: skip


_VITS = VitsConfig(TextConfig(len(VITS_SYMBOLS)))
_VITS2_RECIPE = {"mas_noise": 0.01, "duration_discriminator": "dur_disc_2"}
PRESETS: Final[dict[str, Preset]] = {
    "vits": Preset("VITS as published for LJSpeech and VCTK, 36 M parameters, 22,050 Hz", _VITS),
    "vits2": Preset(
        "VITS2 as published: transformers in the flow, mel posterior, duration discriminator, noise on the alignment",
        replace(
            _VITS, flow=FlowConfig(FlowKind.PRE_CONV), posterior=PosteriorConfig(80, mel=True),
            text=replace(_VITS.text, speaker_layer=None),
        ),
        blank=False, recipe=_VITS2_RECIPE,
    ),
    "small": Preset(
        "a VITS of 6 M parameters at 16,000 Hz, for few voices and for machines without a GPU",
        VitsConfig(
            TextConfig(len(VITS_SYMBOLS), hidden=96, filter=384, layers=4), latent=96,
            duration=DurationConfig(filter=96), flow=FlowConfig(hidden=96), speaker_channels=0,
            posterior=PosteriorConfig(513, hidden=96, layers=8),
            decoder=GeneratorConfig(
                inputs=96, channels=192, rates=(8, 8, 4), rate_kernels=(16, 16, 8), kernels=(3, 5, 7),
                dilations=((1, 2), (2, 6), (3, 12)), resblock="2",
            ),
            audio=AudioConfig(16000),
        ),
        recipe={"discriminator_divisor": 4},
    ),
}  # fmt: skip


def preset(name: str) -> Preset:
    """Raises InvalidRequest."""
    if name not in PRESETS:
        raise InvalidRequest(f"there is no preset {name!r}; known: {', '.join(PRESETS)}.", field="preset")
    return PRESETS[name]


def read_config(path: Path) -> Preset:
    """A preset out of a config.json of VITS or VITS2. Raises ModelFilesInvalid."""
    data = read_json(path)
    model, audio = setting(data, "model", kind=dict, file=path.name), setting(data, "data", kind=dict, file=path.name)

    def number(name: str) -> int:
        return int(setting(model, name, kind=int, file=path.name))

    named = model.get("transformer_flow_type", FlowKind.MONO_POST.value)
    flow = FlowKind(named) if model.get("use_transformer_flows") else FlowKind.WAVENET
    told = bool(model.get("use_spk_conditioned_encoder")) and int(audio.get("n_speakers", 0)) > 1
    mel = bool(model.get("use_mel_posterior_encoder"))
    hidden, latent = number("hidden_channels"), number("inter_channels")
    stochastic = bool(model.get("use_sdp", True))
    analysis = audio_config(audio)
    symbols = audio.get("symbols") or data.get("symbols") or VITS_SYMBOLS
    if len(symbols) != len(VITS_SYMBOLS):
        raise ModelFilesInvalid(f"{path.name} has its own {len(symbols)} symbols; start from a checkpoint with them.")
    try:
        config = VitsConfig(
            TextConfig(
                len(symbols), hidden, number("filter_channels"), number("n_heads"), number("n_layers"),
                number("kernel_size"), dropout=float(model.get("p_dropout", 0.1)),
                speaker_layer=2 if told else None,
            ),
            latent, speaker_channels=int(model.get("gin_channels", 0)),
            duration=DurationConfig(stochastic, hidden if stochastic else 256),
            flow=FlowConfig(flow, hidden=hidden),
            posterior=PosteriorConfig(analysis.mel_bins if mel else analysis.filter_length // 2 + 1, mel, hidden),
            decoder=GeneratorConfig(
                latent, number("upsample_initial_channel"), tuple(setting(model, "upsample_rates", kind=list)),
                tuple(setting(model, "upsample_kernel_sizes", kind=list)),
                tuple(setting(model, "resblock_kernel_sizes", kind=list)),
                tuple(tuple(row) for row in setting(model, "resblock_dilation_sizes", kind=list)),
                "2" if str(model.get("resblock", "1")) == "2" else "1",
            ),
            audio=analysis,
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise ModelFilesInvalid(f"{path.name} describes a model that cannot be: {error}.") from error
    recipe: dict[str, Any] = {}
    if model.get("use_noise_scaled_mas"):
        recipe["mas_noise"] = 0.01
    if model.get("use_duration_discriminator"):
        recipe["duration_discriminator"] = model.get("duration_discriminator_type", "dur_disc_2")
    return Preset(path.name, config, bool(audio.get("add_blank", True)), recipe)
