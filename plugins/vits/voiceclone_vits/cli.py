"""``voiceclone vits``: voice conversion, and what a checkpoint holds, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_Checkpoint = Annotated[Path, typer.Argument(metavar="CHECKPOINT", exists=True, help="A folder or file of weights.")]


def convert(
    checkpoint: _Checkpoint,
    recording: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Speech of the speaker --source.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the converted speech goes (WAV, FLAC or OGG).")],
    source: Annotated[str, typer.Option(help="Who speaks in the recording: a speaker of the model.")],
    target: Annotated[str, typer.Option(help="Who is to be heard: a speaker of the model.")],
    seed: Annotated[int, typer.Option(help="Equal seeds give equal samples.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Say a recording of one of the model's speakers in the voice of another."""
    import soundfile

    from voiceclone.errors import SampleUndecodable, describe
    from voiceclone_vits.checkpoint import read_checkpoint
    from voiceclone_vits.model import VitsModel

    loaded = VitsModel(read_checkpoint(checkpoint), device)
    try:
        samples, rate = soundfile.read(recording, dtype="float32")
    except (soundfile.LibsndfileError, OSError) as error:
        raise SampleUndecodable(f"{recording.name} cannot be read: {describe(error)}") from error
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    voices = (loaded.speaker_voice(name) for name in (source, target))
    spoken = loaded.convert(mono, rate, *voices, seed=seed)
    soundfile.write(out, spoken, loaded.capabilities.sample_rate)
    typer.echo(f"{out}: {len(spoken) / loaded.capabilities.sample_rate:.2f} s of {target}")


def show(checkpoint: _Checkpoint) -> None:
    """Say what a checkpoint is: its layout, sizes, speakers, languages and symbols."""
    from voiceclone_vits.checkpoint import read_checkpoint

    found = read_checkpoint(checkpoint)
    config, speakers = found.config, found.speakers
    parameters = sum(tensor.numel() for tensor in found.tensors.values())
    facts = {
        "layout": found.layout,
        "files": ", ".join(found.files),
        "parameters": f"{parameters / 1e6:.1f} million",
        "rate": f"{config.audio.sample_rate} Hz, {config.decoder.hop} samples a frame",
        "durations": "stochastic" if config.duration.stochastic else "plain",
        "flow": config.flow.kind.value,
        "decoder": f"ResBlock{config.decoder.resblock}, {config.decoder.channels} channels",
        "symbols": f"{len(found.symbols.ids)} ({found.symbols.alphabet.value})",
        "languages": ", ".join(found.languages) or "not said",
        "speakers": ", ".join(speakers[:40]) + (f" and {len(speakers) - 40} more" if len(speakers) > 40 else ""),
    }
    for name, value in facts.items():
        typer.echo(f"{name:11} {value or 'one'}")


def register(cli: typer.Typer) -> None:
    """Hang the commands below ``voiceclone vits``."""
    group = typer.Typer(help="VITS checkpoints: convert voices, look inside.", no_args_is_help=True)
    group.command()(convert)
    group.command()(show)
    cli.add_typer(group, name="vits")
