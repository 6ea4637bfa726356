"""``voiceclone say``: speak a text into a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voiceclone.cli import consent, speaking
from voiceclone.cli.console import key_values, note
from voiceclone.cli.server import ServerOption, connected
from voiceclone.cli.voices import read_recording
from voiceclone.errors import TextEmpty

if TYPE_CHECKING:
    from voiceclone.client import Client, Consent


def say(
    text: Annotated[str, typer.Argument(help="What to say; - reads it from standard input.")],
    voice: Annotated[str, typer.Option("--voice", "-v", help="A cloned voice; see: voiceclone voices list")] = "",
    reference: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Instead of --voice: a recording to clone for this call only."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help=f"File to write: {', '.join(speaking.SUFFIXES)}.")] = Path(
        "speech.wav"
    ),
    model: Annotated[str, typer.Option(help="Another model than the voice's own, or one that needs no voice.")] = "",
    language: Annotated[str, typer.Option(help="BCP-47, such as en-GB.")] = "",
    rate: Annotated[float | None, typer.Option(min=0.25, max=4, help="2 is twice as fast.")] = None,
    pitch: Annotated[float | None, typer.Option(help="Semitones up or down.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="How much the model varies.")] = None,
    style: Annotated[str | None, typer.Option(help="A style that the model knows.")] = None,
    seed: Annotated[int | None, typer.Option(help="Equal seeds give equal audio.")] = None,
    sample_rate: Annotated[int | None, typer.Option(help="Hz; default: the model's.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the model's own; repeatable.")
    ] = None,
    timings: Annotated[Path | None, typer.Option(help="Write when each word and phoneme is said, as JSON.")] = None,
    visemes: Annotated[
        bool, typer.Option("--visemes", help="Mouth shapes too; without --timings in OUT's name with .json.")
    ] = False,
    viseme_set: Annotated[str, typer.Option(help="ovr15, azure22 or rhubarb9.")] = "ovr15",
    i_have_consent: consent.HaveConsent = False,
    consent_speaker: consent.Speaker = "",
    consent_method: consent.MethodOption = consent.Method.OPERATOR_ATTESTATION,
    server: ServerOption = "",
) -> None:
    """Speak a text into a file; nothing is played.

    Uses a running server, or starts one for this call. With --reference, say on what ground the voice may be cloned:
    --consent-speaker NAME (they agreed), or --consent-method synthetic_speaker where it is nobody's voice.
    """
    speaking.check_suffix(out)
    if (voice and reference) or not (voice or reference or model):
        raise typer.BadParameter(
            "Give either --voice or --reference, or a --model that has its own.", param_hint="--voice"
        )
    if visemes and timings is None:
        timings = out.with_suffix(".json")
    text = sys.stdin.read() if text == "-" else text
    if not text.strip():
        raise TextEmpty("There is no text to say.", field="text")
    synthetic = consent_method is consent.Method.SYNTHETIC_SPEAKER
    ground = None
    if reference is not None:
        ground = consent.given(i_have_consent or synthetic, consent_speaker, consent_method)
    options: dict[str, Any] = {
        "model": model or None,
        "language": language or None,
        "speaking_rate": rate,
        "pitch_semitones": pitch,
        "temperature": temperature,
        "style": style,
        "seed": seed,
        "sample_rate": sample_rate,
        "backend_options": key_values(option or (), "--option") or None,
        "viseme_set": viseme_set if visemes else None,
    }
    with connected(server) as client, _voice(client, voice, reference, ground, model) as (name, own_model):
        kinds = speaking.make_ready(client, model or own_model)
        options["timings"] = _kinds(kinds, timings is not None, visemes)
        given = {key: value for key, value in options.items() if value is not None}
        spoken = speaking.speak(client, text, name, given)
    speaking.write_audio(spoken, out)
    written = [out]
    if timings is not None:
        speaking.write_timings(spoken, text, timings)
        written.append(timings)
    speaking.report(spoken, *written)


def _kinds(able: tuple[str, ...], wanted: bool, visemes: bool) -> tuple[str, ...]:
    """Return the kinds of timing to ask for; words in any case, since the progress bar follows them."""
    kinds = ("sentence", "word", "phoneme") if wanted else ("word",)
    return (*(kind for kind in kinds if kind in able), *(("viseme",) if visemes else ()))


@contextmanager
def _voice(
    client: Client, voice: str, reference: Path | None, ground: Consent | None, model: str
) -> Iterator[tuple[str, str]]:
    """Yield the names of the voice and of its model; a voice made of a reference is deleted afterwards."""
    if not voice and reference is None:
        yield "", model
        return
    if reference is None:
        found = client.voice(voice)
        yield found.name, found.model
        return
    assert ground is not None
    with temporary_voice(client, reference, ground, model) as made:
        yield made


@contextmanager
def temporary_voice(client: Client, reference: Path, ground: Consent, model: str = "") -> Iterator[tuple[str, str]]:
    """Clone a recording, yield the names of the voice and its model, delete the voice."""
    import uuid

    from voiceclone.errors import VoicecloneError

    voice_id = f"temporary-{uuid.uuid4().hex[:12]}"
    made = client.clone(voice_id, read_recording(reference), consent=ground, model=model, labels={"temporary": "true"})
    try:
        yield made.name, made.model
    finally:
        try:
            client.delete_voice(made.name)
        except VoicecloneError as error:
            note(f"{made.name} could not be deleted ({error}); voiceclone voices delete {voice_id}")
