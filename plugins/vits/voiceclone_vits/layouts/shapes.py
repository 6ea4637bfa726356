"""The configuration of a VITS read off the shapes of its tensors; what shapes do not tell comes from its own file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voiceclone.errors import ModelFilesInvalid
from voiceclone.nn.hifigan import GeneratorConfig
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

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Untold:
    """What no shape tells."""

    rates: Sequence[int]
    dilations: Sequence[Sequence[int]]
    heads: int = 2
    flow_kind: FlowKind | None = None
    flow_heads: int = 4
    flow_dilation: int = 1
    posterior_dilation: int = 1
    posterior_mel: bool = False
    speaker_vectors: bool = False
    text_dropout: float = 0.1
    duration_dropout: float = 0.5
    duration_tail: float = 5.0
    norm_eps: float = 1e-5
    duration_norm_eps: float = 1e-5
    audio: AudioConfig = field(default_factory=AudioConfig)
    noise_scale: float = 0.667
    duration_noise_scale: float = 0.8
    length_scale: float = 1.0


class Shapes:
    """Shapes by name. Raises ModelFilesInvalid where a tensor that every VITS has is missing."""

    def __init__(self, tensors: Mapping[str, Tensor], file: str) -> None:
        self._shapes = {name: tuple(value.shape) for name, value in tensors.items()}
        self._file = file

    def __contains__(self, name: str) -> bool:
        return name in self._shapes

    def of(self, name: str) -> tuple[int, ...]:
        """Shape of the tensor; of the direction where ``name`` is weight-normed."""
        for spelled in (name, f"{name}_v"):
            if spelled in self._shapes:
                return self._shapes[spelled]
        near = ", ".join(sorted(self._shapes)[:3])
        raise ModelFilesInvalid(
            f"{self._file} is no VITS generator: the tensor {name} is missing.",
            hint=f"It begins with {near}. Is it the discriminator (D_*.pth), or another model?",
        )

    def count(self, pattern: str) -> int:
        """How many different numbers stand in the place of ``#``."""
        expression = re.compile(re.escape(pattern).replace(r"\#", "#").replace("#", r"(\d+)"))
        return len({match[1] for name in self._shapes if (match := expression.match(name))})


def infer(tensors: Mapping[str, Tensor], untold: Untold, file: str) -> VitsConfig:
    """The configuration of ``tensors``, named as the original names them. Raises ModelFilesInvalid."""
    shapes = Shapes(tensors, file)
    vocabulary, hidden = shapes.of("enc_p.emb.weight")
    stats, width = shapes.of("enc_p.proj.weight")[:2]
    filters, _, kernel = shapes.of("enc_p.encoder.ffn_layers.0.conv_1.weight")
    speaker_channels = shapes.of("dec.cond.weight")[1] if "dec.cond.weight" in shapes else 0
    if "emb_g.weight" in shapes:
        kind, speakers = SpeakerKind.NUMBER, shapes.of("emb_g.weight")[0]
    else:
        kind, speakers = (SpeakerKind.VECTOR if untold.speaker_vectors else SpeakerKind.ONE), 0
    text = TextConfig(
        vocabulary, hidden, filters, untold.heads, shapes.count("enc_p.encoder.attn_layers.#."), kernel,
        window=shapes.of("enc_p.encoder.attn_layers.0.emb_rel_k")[1] // 2, dropout=untold.text_dropout,
        languages=shapes.of("emb_l.weight")[0] if "emb_l.weight" in shapes else 0, language_channels=width - hidden,
        speaker_layer=2 if "enc_p.encoder.spk_emb_linear.weight" in shapes else None, norm_eps=untold.norm_eps,
    )  # fmt: skip
    bins, posterior_hidden = shapes.of("enc_q.pre.weight")[1], shapes.of("enc_q.pre.weight")[0]
    posterior = PosteriorConfig(
        bins, untold.posterior_mel, posterior_hidden, shapes.count("enc_q.enc.in_layers.#."),
        shapes.of("enc_q.enc.in_layers.0.weight")[2], untold.posterior_dilation,
    )  # fmt: skip
    return VitsConfig(
        text, stats // 2, kind, speakers, speaker_channels, _duration(shapes, untold), _flow(shapes, untold), posterior,
        _decoder(shapes, untold, file), untold.audio, untold.noise_scale, untold.duration_noise_scale,
        untold.length_scale,
    )  # fmt: skip


def _duration(shapes: Shapes, untold: Untold) -> DurationConfig:
    stochastic = "dp.post_pre.weight" in shapes
    speaker = "dp.cond.weight" in shapes
    if not stochastic:
        filters, _, kernel = shapes.of("dp.conv_1.weight")
        return DurationConfig(False, filters, kernel, dropout=untold.duration_dropout, speaker=speaker,
                              norm_eps=untold.duration_norm_eps)  # fmt: skip
    splines = sum(f"dp.flows.{index}.pre.weight" in shapes for index in range(64))
    return DurationConfig(
        True, shapes.of("dp.pre.weight")[0], shapes.of("dp.convs.convs_sep.0.weight")[2], splines,
        (shapes.of("dp.flows.1.proj.weight")[0] + 1) // 3, untold.duration_tail, shapes.count("dp.convs.convs_sep.#."),
        untold.duration_dropout, speaker,
    )  # fmt: skip


def _flow(shapes: Shapes, untold: Untold) -> FlowConfig:
    couplings = sum(f"flow.flows.{index}.pre.weight" in shapes for index in range(64))
    hidden = shapes.of("flow.flows.0.pre.weight")[0]
    transformers = shapes.count("flow.flows.0.enc.self_attn_layers.#.")
    if transformers:
        kernel = shapes.of("flow.flows.0.enc.ffn_layers.0.conv_1.weight")[2]
        return FlowConfig(FlowKind.FFT, couplings, hidden, untold.flow_heads, kernel, transformers)
    if "flow.flows.0.post_transformer.norm_layers_1.0.gamma" in shapes:
        kind = FlowKind.PRE_CONV
    elif "flow.flows.0.pre_transformer.norm_layers_1.0.gamma" in shapes:
        kind = FlowKind.PRE_CONV2
    elif "flow.flows.2.pre_transformer.norm_layers_1.0.gamma" in shapes:
        # Both have the same tensors; the one that the original takes where nothing is said.
        kind = FlowKind.MONO_INTER if untold.flow_kind is FlowKind.MONO_INTER else FlowKind.MONO_POST
    else:
        kind = FlowKind.WAVENET
    return FlowConfig(
        kind, couplings, hidden, shapes.count("flow.flows.0.enc.in_layers.#."),
        shapes.of("flow.flows.0.enc.in_layers.0.weight")[2], untold.flow_dilation,
    )  # fmt: skip


def _decoder(shapes: Shapes, untold: Untold, file: str) -> GeneratorConfig:
    stages, blocks = shapes.count("dec.ups.#."), shapes.count("dec.resblocks.#.")
    channels, inputs = shapes.of("dec.conv_pre.weight")[:2]
    resblock = "1" if shapes.count("dec.resblocks.#.convs1.") else "2"
    inner = "convs1" if resblock == "1" else "convs"
    a_stage = blocks // max(stages, 1)
    if len(untold.rates) != stages or len(untold.dilations) != a_stage:
        raise ModelFilesInvalid(
            f"{file} has {stages} upsamplings with {a_stage} residual blocks each, its configuration names "
            f"{len(untold.rates)} rates and {len(untold.dilations)} rows of dilations.",
            hint="The two files must come from the same training run.",
        )
    try:
        return GeneratorConfig(
            inputs, channels, tuple(untold.rates),
            tuple(shapes.of(f"dec.ups.{stage}.weight")[2] for stage in range(stages)),
            tuple(shapes.of(f"dec.resblocks.{block}.{inner}.0.weight")[2] for block in range(a_stage)),
            tuple(tuple(row) for row in untold.dilations), "1" if resblock == "1" else "2",
            shapes.of("dec.cond.weight")[1] if "dec.cond.weight" in shapes else 0, "dec.conv_post.bias" in shapes,
        )  # fmt: skip
    except ValueError as error:
        raise ModelFilesInvalid(f"{file} has a decoder that cannot be: {error}.") from error


def rename(
    tensors: Mapping[str, Tensor], rules: Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]
) -> dict[str, Tensor]:
    """``tensors`` with every rule (pattern, replacement) applied to their names, in order."""
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]

    def renamed() -> Iterator[tuple[str, Tensor]]:
        for name, value in tensors.items():
            for pattern, replacement in compiled:
                name = pattern.sub(replacement, name)
            yield name, value

    return dict(renamed())


def setting(config: Mapping[str, Any], *path: str, kind: type | tuple[type, ...], file: str = "config.json") -> Any:
    """The value at ``path`` in ``config``. Raises ModelFilesInvalid where it is missing or of another type."""
    value: Any = config
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        names = kind.__name__ if isinstance(kind, type) else " or ".join(item.__name__ for item in kind)
        found = "missing" if value is None else f"{value!r:.60}"
        raise ModelFilesInvalid(f"{file}: {'.'.join(path)} must be a {names}, it is {found}.")
    return value
