"""The whole recipe: corpus, store, model and judges, training, and the files that come out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from rich.console import Console
from torch import Tensor

from voiceclone.errors import InvalidRequest
from voiceclone.training.checkpoint import list_checkpoints, load_tensors
from voiceclone_vits.checkpoint import read_checkpoint
from voiceclone_vits.config import SpeakerKind
from voiceclone_vits.layouts import own
from voiceclone_vits.training.batches import Batches, Collator
from voiceclone_vits.training.corpus import Line, read_corpus, speakers_of
from voiceclone_vits.training.devices import Devices, default_device, run_on_devices
from voiceclone_vits.training.discriminators import MultiPeriodDiscriminator
from voiceclone_vits.training.duration_discriminators import DurationDiscriminator
from voiceclone_vits.training.export import (
    SETTINGS,
    START,
    Choice,
    export_original,
    export_safetensors,
    read_run,
    read_settings,
)
from voiceclone_vits.training.forward import Analysis, GeneratorPass
from voiceclone_vits.training.presets import Preset, preset, read_config
from voiceclone_vits.training.settings import TrainConfig
from voiceclone_vits.training.start import Start, judges_beside, speaker_inputs, start_fresh, start_from
from voiceclone_vits.training.step import Networks, build_networks
from voiceclone_vits.training.store import Store, StoreConfig, open_store
from voiceclone_vits.training.text import LineReader, TextMode
from voiceclone_vits.training.trainer import GanTrainer
from voiceclone_vits.training.validation import Validation

#: What fine-tuning does otherwise than training from nothing: few steps at a low rate, by the practice of others.
_FINE_TUNING: Mapping[str, Any] = {"learning_rate": 2e-5, "steps": 2000}
_FROM_NOTHING: Mapping[str, Any] = {"learning_rate": 2e-4, "steps": 300_000}
#: The segment of the original, in frames.
_SEGMENT_FRAMES = 32
Tensors: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True)
class Plan:
    """What to train, on what, and where. ``settings`` are fields of TrainConfig that differ from the recipe's."""

    corpus: Path
    run: Path
    #: A checkpoint to go on from; else ``config``, a config.json, else ``preset``.
    init: Path | None = None
    preset: str = "vits"
    config: Path | None = None
    valid: Path | None = None
    audio_root: Path | None = None
    #: Only this speaker of the corpus.
    speaker: str | None = None
    speaker_vectors: Path | None = None
    language: str | None = None
    text: TextMode = "auto"
    longest: float = 12.0
    device: str = ""
    devices: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)


def train(plan: Plan) -> None:
    """Train as planned, in as many processes as there are devices; goes on where an earlier call stopped."""
    run_on_devices(_train, plan.devices, plan.device or default_device(), plan)


def _train(devices: Devices, plan: Plan) -> None:
    prepare(devices, plan).run(Console(quiet=devices.rank > 0))


def prepare(devices: Devices, plan: Plan, console: Console | None = None) -> GanTrainer:
    """Everything ready to learn from the first or the next step. Raises VoicecloneError with what to do about it."""
    console = console or Console(quiet=devices.rank > 0)
    lines = _lines(plan)
    start, recipe = _start(plan, lines)
    checkpoint = start.checkpoint
    hop = checkpoint.config.audio.hop_length
    defaults = {**(_FINE_TUNING if start.trained else _FROM_NOTHING), "segment_size": _SEGMENT_FRAMES * hop, **recipe}
    settings = TrainConfig(**{**defaults, **plan.settings})
    if settings.segment_size % hop:
        raise InvalidRequest(f"segment_size must be a multiple of the hop, {hop} samples.", field="segment_size")
    store = _store(devices, plan, lines, start, console)
    if devices.rank == 0:
        if own.find(plan.run / START) is None:
            own.write(checkpoint, plan.run / START)
        (plan.run / SETTINGS).write_text(settings.to_json(), "utf-8")
        console.print(_described(store, start, settings))
    torch.manual_seed(settings.seed)
    networks = _networks(start, settings, devices)
    speakers = speaker_inputs(checkpoint, plan.speaker_vectors, start.vectors)
    collate = Collator(store, networks.analysis.pad, speakers, _language(plan, checkpoint.languages))
    batches = Batches(store.of("train"), store.frames, settings.batch_size, settings.seed, devices.rank, devices.world)
    validation = Validation(
        collate, store.of("valid") or store.of("train"), networks.analysis, settings.segment_size // hop,
        min(settings.batch_size, 8), devices.device,
    )  # fmt: skip
    return GanTrainer(networks, batches, collate, validation, plan.run, settings, devices)


def _lines(plan: Plan) -> list[Line]:
    lines = read_corpus(plan.corpus, plan.valid, plan.audio_root)
    if plan.speaker is None:
        return lines
    chosen = [line for line in lines if line.speaker == plan.speaker]
    if not chosen:
        names = ", ".join(speakers_of(lines)[:12])
        raise InvalidRequest(f"the corpus has no speaker {plan.speaker!r}; it has {names}.", field="speaker")
    return chosen


def _start(plan: Plan, lines: list[Line]) -> tuple[Start, Mapping[str, Any]]:
    """Where the run begins, and what its recipe does; a run that was begun keeps what it began with."""
    begun = own.find(plan.run / START)
    speakers = speakers_of(lines)
    if begun is not None:
        discriminator, durations, vectors = _judges(plan)
        start = Start(own.read(begun), discriminator, durations, vectors, trained=plan.init is not None)
        kept = {"duration_discriminator": read_settings(plan.run).duration_discriminator}
        return start, _preset(plan).recipe if plan.init is None else kept
    if plan.init is not None:
        start = start_from(plan.init, speakers)
        return start, {"duration_discriminator": "dur_disc_1" if start.durations else "none"}
    chosen = _preset(plan)
    seed = int(plan.settings.get("seed", TrainConfig.__dataclass_fields__["seed"].default))
    return start_fresh(chosen.checkpoint(tuple(speakers)), seed), chosen.recipe


def _judges(plan: Plan) -> tuple[Tensors | None, Tensors | None, Tensors]:
    """The discriminators of a run that was begun, and the vectors of the checkpoint that it began with."""
    found = list_checkpoints(plan.run)
    judges: list[Tensors | None] = [
        load_tensors(found[-1], name) if found and (found[-1] / f"{name}.safetensors").is_file() else None
        for name in ("discriminator", "durations")
    ]
    if plan.init is None:
        return judges[0], judges[1], {}
    checkpoint = read_checkpoint(plan.init)
    if not found:
        judges = [part.state_dict() if part else None for part in judges_beside(plan.init, checkpoint)]
    return judges[0], judges[1], checkpoint.vectors


def _preset(plan: Plan) -> Preset:
    return read_config(plan.config) if plan.config is not None else preset(plan.preset)


def _store(devices: Devices, plan: Plan, lines: list[Line], start: Start, console: Console) -> Store:
    audio, symbols = start.checkpoint.config.audio, start.checkpoint.symbols
    reader = LineReader(symbols, plan.text, lines, start.checkpoint.languages)
    config = StoreConfig(audio.sample_rate, audio.hop_length, longest=plan.longest,
                         tokenizer=f"{reader.mode} {sorted(symbols.as_data().items())!r}")  # fmt: skip
    folder = plan.run / "store"
    # One process makes the store, and the others then find it.
    if devices.rank == 0:
        open_store(lines, reader, folder, config, console)
    devices.any(False)
    return open_store(lines, reader, folder, config, Console(quiet=True))


def _networks(start: Start, settings: TrainConfig, devices: Devices) -> Networks:
    checkpoint = start.checkpoint
    config = checkpoint.config
    durations = None
    if start.durations is not None:
        durations = DurationDiscriminator.from_state(start.durations)
    elif settings.duration_discriminator != "none":
        durations = DurationDiscriminator(settings.duration_discriminator, config.text.width)
    discriminator = (
        MultiPeriodDiscriminator.from_state(start.discriminator) if start.discriminator is not None
        else MultiPeriodDiscriminator(settings.discriminator_divisor)
    )  # fmt: skip
    forward = GeneratorPass(
        checkpoint.build(weight_norm=True), settings.segment_size // config.audio.hop_length,
        predicts=durations is not None,
    )  # fmt: skip
    return build_networks(forward, discriminator, durations, Analysis(config.audio, config.posterior.mel), devices)


def _language(plan: Plan, known: tuple[str, ...]) -> int | None:
    if not known:
        return None
    if plan.language is None and len(known) == 1:
        return 0
    if plan.language not in known:
        raise InvalidRequest(f"the model speaks {', '.join(known)}; --language is {plan.language!r}.", field="language")
    return known.index(plan.language)


def _described(store: Store, start: Start, settings: TrainConfig) -> str:
    config = start.checkpoint.config
    seconds = sum(store.frames) * config.audio.hop_length / config.audio.sample_rate
    voices = "one voice" if config.speaker_kind is SpeakerKind.ONE else f"{config.speakers or 'unnumbered'} speakers"
    return (
        f"{len(store.lines)} utterances, {seconds / 60:.1f} min; {start.checkpoint.layout}, {voices}; "
        f"{'fine-tuning' if start.trained else 'from nothing'}, {settings.steps} steps of {settings.batch_size} at "
        f"{settings.learning_rate:g}, {settings.precision}"
    )


def export(run: Path, target: Path, *, choose: Choice = "last") -> list[Path]:
    """Write what ``run`` has come to: ``target`` in safetensors, ``target/original`` as G_*.pth where it has a place.

    Raises ModelFilesInvalid where nothing was trained.
    """
    trained = read_run(run, choose)
    written = [export_safetensors(trained, target)]
    config = trained.checkpoint.config
    if config.speaker_kind is not SpeakerKind.VECTOR and not config.text.languages:
        written.append(export_original(trained, target / "original", read_settings(run)))
    return written
