"""Checkers of GPT-SoVITS' text frontends: alphabets, numbers of phonemes, and phonemes of texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch

from checkers._case import Call, Case
from checkers._registry import checks
from checkers._report import Report
from checkers.gpt_sovits import UPSTREAM


@checks(UPSTREAM, when=lambda meta: str(meta.get("function", "")).startswith("text.cleaner.clean_text"))
def frontends(case: Case, device: torch.device) -> Iterator[Call]:
    texts = json.loads((case.folder / "phones.json").read_text("utf-8"))
    yield Call("symbols", lambda report: _symbols(case, report))
    for language, items in texts.items():
        yield Call(f"ids {language}", lambda report, items=items: _numbers(items, report))
        yield Call(f"phones {language}", lambda report, items=items: _phonemes(items, report))


def _symbols(case: Case, report: Report) -> None:
    from voiceclone_gpt_sovits.text.alphabet import alphabet

    for version, symbols in json.loads((case.folder / "symbols.json").read_text("utf-8")).items():
        report.exact(version, list(alphabet(len(symbols)).symbols), symbols)


def _numbers(items: list[dict[str, Any]], report: Report) -> None:
    """Numbers of the recorded phonemes in the alphabets of both versions."""
    from voiceclone_gpt_sovits.text.alphabet import alphabet

    for index, item in enumerate(items):
        size = 322 if item["version"] == "v1" else 732
        report.exact(f"ids.{index}", alphabet(size).encode(item["phones"]), item["ids"])
        if "ids_v1" in item:
            report.exact(f"ids_v1.{index}", alphabet(322).encode(item["phones"]), item["ids_v1"])


def _phonemes(items: list[dict[str, Any]], report: Report) -> None:
    from voiceclone_gpt_sovits.text.frontend import phonemes

    for index, item in enumerate(items):
        report.exact(f"phones.{index}", list(phonemes(item["text"], item["lang"]).symbols), item["phones"])
