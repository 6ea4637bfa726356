"""The options by which a person says on what ground a voice may be cloned."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voiceclone.errors import ConsentRequired

if TYPE_CHECKING:
    from voiceclone.client import Consent


class Method(str, Enum):
    """How the speaker agreed."""

    OPERATOR_ATTESTATION = "operator_attestation"
    SPOKEN_STATEMENT = "spoken_statement"
    SIGNED_DOCUMENT = "signed_document"
    SYNTHETIC_SPEAKER = "synthetic_speaker"


HaveConsent = Annotated[
    bool, typer.Option("--i-have-consent", help="You vouch that the speaker agreed to have this voice cloned.")
]
Speaker = Annotated[
    str, typer.Option("--consent-speaker", metavar="NAME", help="Who speaks in the recording and agreed; is recorded.")
]
MethodOption = Annotated[
    Method,
    typer.Option("--consent-method", help="How they agreed; synthetic_speaker: it is nobody's voice."),
]
Evidence = Annotated[
    Path | None,
    typer.Option(
        "--consent-evidence",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="The recording or document that proves it; only its SHA-256 is kept.",
    ),
]
Expires = Annotated[
    datetime | None,
    typer.Option("--consent-expires", formats=["%Y-%m-%d"], help="Until when the voice may be used (UTC)."),
]
Uses = Annotated[list[str] | None, typer.Option("--consent-use", help="What the voice may be used for; repeatable.")]


def given(
    have: bool,
    speaker: str,
    method: Method = Method.OPERATOR_ATTESTATION,
    evidence: Path | None = None,
    expires: datetime | None = None,
    uses: list[str] | None = None,
) -> Consent:
    """Return the consent that the options state. Raises ConsentRequired where they state none."""
    from voiceclone.client import Consent

    if not have and not speaker:
        raise ConsentRequired(
            "A voice is cloned only with the speaker's consent.",
            hint="If you have it, add --consent-speaker NAME (or --i-have-consent); it is kept with the voice.",
        )
    return Consent(
        speaker=speaker or "not named; attested by the operator",
        method=method.value,
        evidence_sha256=hashlib.sha256(evidence.read_bytes()).hexdigest() if evidence else "",
        permitted_uses=tuple(uses or ()),
        expire_time=expires.replace(tzinfo=timezone.utc) if expires else None,
    )
