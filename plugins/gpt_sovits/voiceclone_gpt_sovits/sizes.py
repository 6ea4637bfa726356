"""Sizes of a second model, read off its tensors as far as they show there, else off its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voiceclone.errors import ModelFilesInvalid
from voiceclone.nn.hifigan import GeneratorConfig
from voiceclone_gpt_sovits.files import SovitsFile, Version

#: What upstream's configurations say where a file has none.
_USUAL: dict[str, Any] = {
    "n_heads": 2, "resblock": "1", "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "upsample_rates": [10, 8, 2, 2, 2],
    "semantic_frame_rate": "25hz", "p_dropout": 0.1, "segment_size": 20480,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EncoderSizes:
    """A transformer with relative positions: ``layers`` of it in each of the three places."""

    channels: int
    filters: int
    heads: int
    kernel: int
    layers_codes: int
    layers_text: int
    layers_joint: int
    #: Widths where text and codes meet, and of what comes in there.
    joint: int
    alphabet: int


@dataclass(frozen=True, slots=True)
class SovitsSizes:
    """Everything that a second model of any version is made of."""

    version: Version
    encoder: EncoderSizes
    #: Channels of a content feature, and codes.
    content: int
    codes: int
    #: Bins of the reference spectrogram that are read, and inner width of the timbre encoder.
    timbre_bins: int
    timbre_width: int
    #: Channels of the timbre, and of the latent.
    timbre: int
    latent: int
    #: Content features that one code stands for.
    stride: int
    dropout: float
    generator: GeneratorConfig | None = None
    flow_width: int = 0
    #: Speaker embedding of v2Pro.
    speaker: int = 0
    posterior_bins: int = 0
    #: Width of what the flow-matching network is conditioned on, and layers of the WaveNet before it.
    condition: int = 0
    condition_layers: int = 0

    @classmethod
    def of(cls, file: SovitsFile) -> SovitsSizes:
        """Raises ModelFilesInvalid."""
        try:
            return cls._of(file)
        except (KeyError, IndexError, TypeError, ValueError, StopIteration) as error:
            raise ModelFilesInvalid(f"{file.name} is no whole s2 of GPT-SoVITS: {error!r}.") from error

    @classmethod
    def _of(cls, file: SovitsFile) -> SovitsSizes:
        shapes = {name: tuple(value.shape) for name, value in file.weights.items()}
        config = {**_USUAL, **file.config.get("model", {})}
        channels = shapes["enc_p.text_embedding.weight"][1]
        filters, _, kernel = shapes["enc_p.encoder_text.ffn_layers.0.conv_1.weight"]
        layers = [_count(shapes, f"enc_p.{part}.attn_layers.") for part in ("encoder_ssl", "encoder_text", "encoder2")]
        encoder = EncoderSizes(
            channels, filters, int(config["n_heads"]), kernel, layers[0], layers[1], layers[2],
            shapes["enc_p.mrte.c_pre.weight"][0], shapes["enc_p.text_embedding.weight"][0],
        )  # fmt: skip
        codes, content = shapes["quantizer.vq.layers.0._codebook.embed"]
        latent, timbre = shapes["enc_p.proj.weight"][0] // 2, shapes["ref_enc.fc.fc.weight"][0]
        extra: dict[str, Any] = {}
        if file.version.has_flow_matching:
            extra = {
                "condition": shapes["bridge.0.weight"][0],
                "condition_layers": _count(shapes, "wns1.enc.in_layers."),
            }
        else:
            rates = tuple(config["upsample_rates"])
            extra = {
                "flow_width": shapes["flow.flows.0.pre.weight"][0],
                "generator": GeneratorConfig(
                    latent, shapes["dec.conv_pre.weight"][0], rates,
                    tuple(_kernel(shapes, f"dec.ups.{stage}") for stage in range(len(rates))),
                    tuple(config["resblock_kernel_sizes"]),
                    tuple(tuple(row) for row in config["resblock_dilation_sizes"]),
                    "2" if str(config["resblock"]) == "2" else "1", timbre,
                ),
            }  # fmt: skip
        if "enc_q.pre.weight" in shapes:
            extra["posterior_bins"] = shapes["enc_q.pre.weight"][1]
        return cls(
            file.version, encoder, content, codes, shapes["ref_enc.spectral.0.fc.weight"][1],
            shapes["ref_enc.spectral.0.fc.weight"][0], timbre, latent, shapes["ssl_proj.weight"][2],
            float(config["p_dropout"]), speaker=shapes.get("sv_emb.weight", (0, 0))[1], **extra,
        )  # fmt: skip

    @property
    def hop(self) -> int:
        """Samples of one latent frame; two frames are a code."""
        if self.generator is None:
            raise ValueError(f"a {self.version.value} writes a mel, no samples")
        return self.generator.hop


def _count(shapes: dict[str, tuple[int, ...]], prefix: str) -> int:
    return len({name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)})


def _kernel(shapes: dict[str, tuple[int, ...]], layer: str) -> int:
    names = (f"{layer}.weight_v", f"{layer}.weight", f"{layer}.parametrizations.weight.original1")
    return next(shapes[name][2] for name in names if name in shapes)
