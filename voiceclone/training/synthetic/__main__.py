"""The command line of the corpus generator: `python -m voiceclone.training.synthetic`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from voiceclone.training.synthetic.generate import CorpusSummary, generate_corpus
from voiceclone.training.synthetic.speech import EngineMissing

_DESCRIPTION = """\
Renders an English speech corpus with espeak-ng, flite and festival and writes it as a training manifest.

The synthesizers know when each phone starts and ends, so the corpus carries exact phone durations that no
recording has. Half of the flite and festival audio is warped to other speakers, and espeak-ng speaks in many
voices: a few hours hold several hundred speakers. OUT gets manifest.jsonl and audio/<split>/<id>.flac
(16 kHz mono); docs/synthetic-corpus.md describes the format.

Install the programs first:  apt-get install espeak-ng flite festival festvox-kdlpc16k
"""

_EPILOG = """\
examples:
  python -m voiceclone.training.synthetic --out corpus --hours 0.1
      a first look: some minutes of training audio, and the validation and test sets in full
  python -m voiceclone.training.synthetic --out corpus --hours 6.5 --seed 1 --processes 4
      the corpus of the bundled models

A run that was cut off goes on where it stopped when it is started again with the same arguments.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m voiceclone.training.synthetic",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus; made when missing")
    parser.add_argument(
        "--hours", type=float, default=6.5, help="training audio in hours, within a few percent (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="same seed, same corpus (default: %(default)s)")
    parser.add_argument(
        "--processes", type=int, default=1, help="processes that render, one a core (default: %(default)s)"
    )
    return parser


def _print_summary(summary: CorpusSummary) -> None:
    table = Table("split", "voice", "utterances", "hours")
    for split, base in sorted(summary.utterances):
        key = (split, base)
        table.add_row(split, base, str(summary.utterances[key]), f"{summary.hours[key]:.2f}")
    table.add_row("all", "", str(sum(summary.utterances.values())), f"{sum(summary.hours.values()):.2f}")
    Console().print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        summary = generate_corpus(options.out, options.hours, options.seed, options.processes)
    except (EngineMissing, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _print_summary(summary)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
