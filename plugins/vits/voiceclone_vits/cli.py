"""``voiceclone vits``: speak, convert voices and look inside checkpoints from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_Checkpoint = Annotated[Path, typer.Argument(metavar="CHECKPOINT", exists=True, help="A folder or file of weights.")]


def say(
    checkpoint: _Checkpoint,
    text: Annotated[str, typer.Argument(help="What to say.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the speech goes (WAV, FLAC or OGG).")],
    speaker: Annotated[str, typer.Option(help="One of the model's speakers; default: its first.")] = "",
    language: Annotated[str, typer.Option(help="For models of several languages: the code of one.")] = "",
    rate: Annotated[float, typer.Option(min=0.25, max=4.0, help="2 is twice as fast.")] = 1.0,
    text_form: Annotated[str, typer.Option(help="text, symbols of the model, or token ids.")] = "text",
    seed: Annotated[int, typer.Option(help="Equal seeds give equal samples.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Speak with one of the model's own speakers, without a server."""
    import numpy as np
    import soundfile
    from pydantic import ValidationError

    from voiceclone import Utterance
    from voiceclone.errors import OptionUnknown
    from voiceclone_vits.checkpoint import read_checkpoint
    from voiceclone_vits.model import VitsModel
    from voiceclone_vits.options import VitsOptions

    try:
        options = VitsOptions.model_validate({"text_form": text_form})
    except ValidationError as error:
        raise OptionUnknown("--text-form must be text, symbols or ids.", field="text_form") from error
    loaded = VitsModel(read_checkpoint(checkpoint), device)
    voice = loaded.speaker_voice(speaker)
    session, chunks, done = loaded.open(Utterance(text, voice, language, seed, rate, options=options)), [], False
    while not done:
        (step,) = loaded.step([session])
        chunks += [chunk.samples for chunk in step.chunks]
        done = step.done
    spoken = np.concatenate(chunks)
    soundfile.write(out, spoken, loaded.capabilities.sample_rate)
    typer.echo(f"{out}: {len(spoken) / loaded.capabilities.sample_rate:.2f} s")


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
    spoken = loaded.convert(mono, rate, loaded.speaker_voice(source), loaded.speaker_voice(target), seed)
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
    group = typer.Typer(help="VITS checkpoints: speak, convert voices, look inside.", no_args_is_help=True)
    group.command()(say)
    group.command()(convert)
    group.command()(show)
    cli.add_typer(group, name="vits")
