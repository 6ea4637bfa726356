"""The command line: `python -m benchmarks.quality`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

_DESCRIPTION = """\
Judges how well a model speaks: are its words understood, is it the voice of the recording, does its pitch and timing
follow true speech. Everything is measured by machine (pocketsphinx, resemblyzer, pyworld); nobody listens.

The same judges hear the true speech and the vocoder alone, so a figure can be read against what is possible, and two
controls that have to fail: transcripts scored against the wrong sentence, and voices given the wrong recording.
"""

_EPILOG = """\
examples:
  python -m benchmarks.quality
      the bundled model on a test set rendered on the spot (needs espeak-ng, flite and festival), about five minutes
  python -m benchmarks.quality --model-folder exported --corpus corpus --quick
      a model in the making, on a corpus that is there, in about one minute
  python -m benchmarks.quality --card plugins/fastspeech2/MODEL_CARD.md --page quality.html
      puts the table into a model card and draws spectrograms

What was judged once is kept by its content, so a run that was cut off goes on where it stopped and only new audio is
judged again. docs/quality.md says what each figure means.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    results = Path(__file__).resolve().parents[1] / "results"
    parser.add_argument("--model", default="fastspeech2-en", help="name of the model (default: %(default)s)")
    parser.add_argument("--model-folder", type=Path, help="folder of a model that no plugin brings, e.g. an export")
    parser.add_argument("--backend", default="fastspeech2", help="backend of --model-folder (default: %(default)s)")
    parser.add_argument("--corpus", type=Path, help="corpus whose test split is used; rendered when not given")
    parser.add_argument("--out", type=Path, help=f"JSON file (default: {results.name}/quality-MODEL.json)")
    parser.add_argument("--page", type=Path, help="HTML file with spectrograms (default: beside --out)")
    parser.add_argument("--card", type=Path, help="Markdown file whose quality block is rewritten")
    parser.add_argument("--cache", type=Path, help="folder of verdicts (default: the user's cache)")
    parser.add_argument("--quick", action="store_true", help="a quarter of the sentences; wide intervals")
    parser.add_argument("--open-vocabulary", action="store_true", help="also with the recogniser's own language model")
    parser.add_argument("--processes", type=int, default=2, help="processes that recognise (default: %(default)s)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when done (whether or not gates are met), 2 where something is missing."""
    options = _parser().parse_args(arguments)
    # Before torch is imported: threads of two libraries that wait for each other cost more than they bring.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from voiceclone.errors import InvalidManifest, VoicecloneError
    from voiceclone.training.synthetic.speech import EngineMissing

    try:
        return _run(options)
    except ImportError as error:
        hint = "Install the judges: pip install -r requirements/quality.txt"
        print(f"error: {error}\n{hint}", file=sys.stderr)
    except (VoicecloneError, InvalidManifest, EngineMissing, FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 2


def _run(options: argparse.Namespace) -> int:
    from platformdirs import user_cache_path
    from rich.console import Console

    from benchmarks.quality.data import load_material, render_test_split
    from benchmarks.quality.gates import gates
    from benchmarks.quality.judge import run
    from benchmarks.quality.page import write_page
    from benchmarks.quality.report import rewrite_card, to_json, to_markdown
    from benchmarks.quality.systems import load_model

    console = Console()
    cache = options.cache or user_cache_path("voiceclone") / "quality"
    corpus = options.corpus or render_test_split(cache / "corpus")
    material = load_material(corpus, quick=options.quick)
    loaded = load_model(options.model, options.model_folder, options.backend)
    result = run(loaded, material, cache, open_vocabulary=options.open_vocabulary, processes=options.processes)
    out = options.out or Path(__file__).resolve().parents[1] / "results" / f"quality-{options.model}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(to_json(result, material, loaded), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = options.page or out.with_suffix(".html")
    write_page(page, result.audio, material, f"{options.model} {loaded.info.revision}")
    block = to_markdown(result, material, loaded)
    console.print(block, markup=False, highlight=False, soft_wrap=True)
    if options.card:
        rewrite_card(options.card, block)
    missed = [gate.name for gate in gates(result, material, loaded) if not gate.passed]
    console.print(f"figures: {out}\nspectrograms: {page}", highlight=False, soft_wrap=True)
    console.print(f"gates missed: {'; '.join(missed) or 'none'}", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
