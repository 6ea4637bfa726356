"""The tables of docs/visemes.md say what visemes.json says. Run this file as a script to print them anew."""

from __future__ import annotations

from pathlib import Path

from voiceclone.lipsync.visemes import VisemeSet, arkit_weights, viseme_names, visemes_of_phoneme
from voiceclone.text.phones import PAD, PHONES, ipa_label

PAGE = Path(__file__).parents[2] / "docs" / "visemes.md"


def phoneme_table() -> list[str]:
    """One row a phone of the inventory: IPA, ARPABET and its visemes in each set."""
    lines = ["| IPA | ARPABET | OVR15, ARKIT52 | AZURE22 | RHUBARB9 |", "|---|---|---|---|---|"]
    for phone in PHONES:
        if phone == PAD:
            continue
        ipa = ipa_label(phone)
        cells = [
            " → ".join(visemes_of_phoneme(ipa, viseme_set))
            for viseme_set in (VisemeSet.OVR15, VisemeSet.AZURE22, VisemeSet.RHUBARB9)
        ]
        lines.append(f"| {ipa or '(silence)'} | {phone} | {' | '.join(cells)} |")
    return lines


def arkit_table() -> list[str]:
    """One row a viseme: its id, its name and its blend shapes."""
    lines = ["| id | viseme | blend shapes |", "|---|---|---|"]
    for index, name in enumerate(viseme_names(VisemeSet.ARKIT52)):
        shapes: dict[str, float] = {}
        for curve, weight in arkit_weights(name).items():
            stem = curve.removesuffix("Left").removesuffix("Right")
            shapes[stem if stem == curve else f"{stem}Left/Right"] = weight
        cells = ", ".join(f"{curve} {weight:g}" for curve, weight in shapes.items())
        lines.append(f"| {index} | {name} | {cells or 'all 0'} |")
    return lines


def test_tables_match_the_data() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for table in (phoneme_table(), arkit_table()):
        assert "\n".join(table) in page, "docs/visemes.md is stale: run this file and paste its tables"


def test_every_set_is_described() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(viseme_set.value in page for viseme_set in VisemeSet)


if __name__ == "__main__":
    print("\n".join([*phoneme_table(), "", *arkit_table()]))
