"""``voiceclone demo``: from a recording to a sentence in its voice, through a real server, in one command."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from voiceclone.cli import consent, speaking
from voiceclone.cli.console import note
from voiceclone.cli.say import temporary_voice
from voiceclone.cli.server import connected, local_server
from voiceclone.errors import InvalidRequest

TEXT = "Hello! You are listening to a cloned voice. It was made from one short recording, on this machine."
#: Beside the package in a clone of the repository.
_REFERENCE = Path(__file__).resolve().parents[2] / "examples" / "reference.wav"


def demo(
    reference: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A recording to clone. Default: the bundled synthetic speaker."),
    ] = None,
    text: Annotated[str, typer.Option(help="What to say.")] = TEXT,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for hello.wav and hello.json.")] = Path("demo"),
    model: Annotated[str, typer.Option(help="The model that speaks; default: the server's.")] = "",
    i_have_consent: consent.HaveConsent = False,
    consent_speaker: consent.Speaker = "",
) -> None:
    """Start a server, clone a voice from a recording, say a sentence with it, write it to a file.

    With a recording of your own, say who speaks: --consent-speaker NAME.
    """
    if reference is None:
        if not _REFERENCE.is_file():
            raise InvalidRequest(
                "The bundled recording is only in a clone of the repository.",
                hint="Use one of yours: voiceclone demo --reference FILE --consent-speaker NAME",
            )
        ground = consent.given(True, "synthetic speaker", consent.Method.SYNTHETIC_SPEAKER)
    else:
        ground = consent.given(i_have_consent, consent_speaker)
    recording = reference or _REFERENCE
    wav, timings = out / "hello.wav", out / "hello.json"
    # A folder of its own: the demo leaves no voice behind, whatever becomes of it.
    with tempfile.TemporaryDirectory(prefix="voiceclone-demo-") as folder, local_server(Path(folder)) as address:
        note(f"server on {address}")
        with connected(address) as client, temporary_voice(client, recording, ground, model) as (voice, own_model):
            note(f"voice cloned from {recording.name} by {own_model}")
            able = speaking.make_ready(client, own_model)
            kinds = [kind for kind in ("sentence", "word", "phoneme") if kind in able]
            visemes = ["viseme"] if "phoneme" in able else []
            spoken = speaking.speak(client, text, voice, {"timings": [*kinds, *visemes], "seed": 1})
    speaking.write_audio(spoken, wav)
    speaking.write_timings(spoken, text, timings)
    speaking.report(spoken, wav, timings)
