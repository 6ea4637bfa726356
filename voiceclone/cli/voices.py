"""``voiceclone voices``: clone voices, look at them, take them back."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voiceclone.cli import consent
from voiceclone.cli.console import Commands, fields, key_values, note, say, show_json, table
from voiceclone.cli.server import ServerOption, connected
from voiceclone.errors import SampleUndecodable

if TYPE_CHECKING:
    from voiceclone.client import Sample, Voice

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Clone, list, change and delete voices.")
_JSON = Annotated[bool, typer.Option("--json", help="For programs.")]
_Name = Annotated[str, typer.Argument(metavar="VOICE", help="Its name, with or without voices/.")]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_Labels = Annotated[list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="A label; repeatable.")]
_Languages = Annotated[list[str] | None, typer.Option("--language", help="BCP-47, such as en-GB; repeatable.")]


@app.command()
def clone(
    voice_id: Annotated[str, typer.Argument(help="What to call it: 1 to 63 of a-z, 0-9 and -.")],
    recordings: Annotated[
        list[Path], typer.Argument(exists=True, dir_okay=False, help="Recordings of one speaker: wav, flac, ogg, mp3.")
    ],
    i_have_consent: consent.HaveConsent = False,
    consent_speaker: consent.Speaker = "",
    consent_method: consent.MethodOption = consent.Method.OPERATOR_ATTESTATION,
    consent_evidence: consent.Evidence = None,
    consent_expires: consent.Expires = None,
    consent_use: consent.Uses = None,
    transcript: Annotated[
        list[str] | None, typer.Option(help="What is said in the recording; one for each, in order.")
    ] = None,
    model: Annotated[str, typer.Option(help="The model that is to speak it; default: the server's.")] = "",
    display_name: Annotated[str, typer.Option(help="Its name for people.")] = "",
    language: _Languages = None,
    label: _Labels = None,
    server: ServerOption = "",
    as_json: _JSON = False,
) -> None:
    """Make a voice of recordings. 5 to 15 s of clear speech work best; 1 to 120 s are taken.

    The speaker's consent is kept with the voice: say who speaks with --consent-speaker NAME.
    """
    synthetic = consent_method is consent.Method.SYNTHETIC_SPEAKER
    ground = consent.given(
        i_have_consent or synthetic, consent_speaker, consent_method, consent_evidence, consent_expires, consent_use
    )
    words = transcript or []
    data = [read_recording(path) for path in recordings]
    if len(words) > len(recordings):
        raise typer.BadParameter("There are more transcripts than recordings.", param_hint="--transcript")
    with connected(server) as client:
        for index, path in enumerate(recordings):
            said = words[index] if index < len(words) else ""
            _warn(path, client.upload(data[index], said, (language or [""])[0]))
        voice = client.clone(
            voice_id,
            data,
            consent=ground,
            transcripts=words,
            model=model,
            display_name=display_name,
            languages=language or (),
            labels=key_values(label or (), "--label"),
        )
    _show(voice, as_json)


@app.command("list")
def list_voices(
    filter: Annotated[
        str, typer.Option(help='Such as: labels.mood = calm AND language = en, state = SUSPENDED, model = "models/x".')
    ] = "",
    server: ServerOption = "",
    as_json: _JSON = False,
) -> None:
    """List the voices."""
    with connected(server) as client:
        found = client.voices(filter)
    if as_json:
        show_json([asdict(voice) for voice in found])
        return
    table(
        ("voice", "model", "state", "languages", "labels", "speaker", "made"),
        [_row(voice) for voice in found],
        "There is no voice" + (" that fits." if filter else " yet: voiceclone voices clone NAME RECORDING"),
    )


@app.command()
def show(name: _Name, server: ServerOption = "", as_json: _JSON = False) -> None:
    """Show one voice and the consent it stands on."""
    with connected(server) as client:
        voice = client.voice(name)
    _show(voice, as_json)


@app.command()
def update(
    name: _Name,
    display_name: Annotated[str | None, typer.Option(help="Its name for people.")] = None,
    language: _Languages = None,
    label: _Labels = None,
    unlabel: Annotated[list[str] | None, typer.Option(metavar="KEY", help="Take a label away; repeatable.")] = None,
    consent_expires: consent.Expires = None,
    server: ServerOption = "",
    as_json: _JSON = False,
) -> None:
    """Change what a voice is called, its languages, labels, or until when it may be used."""
    with connected(server) as client:
        voice = client.voice(name)
        changes: dict[str, Any] = {}
        if display_name is not None:
            changes["display_name"] = display_name
        if language:
            changes["languages"] = language
        if label or unlabel:
            labels = {**voice.labels, **key_values(label or (), "--label")}
            changes["labels"] = {key: value for key, value in labels.items() if key not in (unlabel or ())}
        if consent_expires is not None:
            changes["consent"] = replace(voice.consent, expire_time=consent_expires.replace(tzinfo=timezone.utc))
        if not changes:
            raise typer.BadParameter("Nothing to change was given.", param_hint="--display-name")
        voice = client.update_voice(name, etag=voice.etag, **changes)
    _show(voice, as_json)


@app.command()
def revoke(name: _Name, yes: _Yes = False, server: ServerOption = "") -> None:
    """Record that the speaker took their consent back: the voice never speaks again, what models learned is purged."""
    with connected(server) as client:
        voice = client.voice(name)
        if not yes:
            typer.confirm(
                f"{voice.name} ({voice.consent.speaker}) will never speak again. Go on?", abort=True, err=True
            )
        revoked = replace(voice.consent, revoke_time=datetime.now(timezone.utc))
        voice = client.update_voice(name, etag=voice.etag, consent=revoked)
    say(f"{voice.name} is {voice.state}")
    note(f"its recordings are kept until: voiceclone voices delete {voice.name.split('/')[1]}")


@app.command()
def delete(name: _Name, yes: _Yes = False, server: ServerOption = "") -> None:
    """Delete a voice, what models learned of it, and the recordings that no other voice is made of."""
    with connected(server) as client:
        voice = client.voice(name)
        if not yes:
            typer.confirm(f"{voice.name} and its recordings will be gone. Go on?", abort=True, err=True)
        client.delete_voice(name, etag=voice.etag)
    say(f"{voice.name} is deleted")


def read_recording(path: Path) -> bytes:
    """Return the bytes of a recording. Raises SampleUndecodable where there are none."""
    data = path.read_bytes()
    if not data:
        raise SampleUndecodable(f"{path} is empty.", field="recordings")
    return data


def _warn(path: Path, sample: Sample) -> None:
    for warning in sample.warnings:
        note(f"{path.name}: {warning}")


def _row(voice: Voice) -> tuple[str, ...]:
    labels = " ".join(f"{key}={value}" for key, value in voice.labels.items())
    made = voice.create_time.astimezone().strftime("%Y-%m-%d %H:%M")
    return (
        voice.name,
        voice.model.removeprefix("models/"),
        voice.state,
        ", ".join(voice.languages),
        labels,
        voice.consent.speaker,
        made,
    )


def _show(voice: Voice, as_json: bool) -> None:
    if as_json:
        show_json(asdict(voice))
        return
    ground = voice.consent
    fields([("name", voice.name), ("display name", voice.display_name), ("model", voice.model), ("state", voice.state),
            ("languages", ", ".join(voice.languages)),
            ("labels", " ".join(f"{key}={value}" for key, value in voice.labels.items())),
            ("samples", " ".join(voice.samples)), ("made", voice.create_time.isoformat()),
            ("changed", voice.update_time.isoformat()), ("etag", voice.etag),
            ("speaker", ground.speaker), ("consent", ground.method.replace("_", " ")),
            ("evidence", ground.evidence_sha256), ("permitted uses", ", ".join(ground.permitted_uses)),
            ("expires", ground.expire_time.isoformat() if ground.expire_time else ""),
            ("revoked", ground.revoke_time.isoformat() if ground.revoke_time else "")])  # fmt: skip
