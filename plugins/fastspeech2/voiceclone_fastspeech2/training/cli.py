"""``voiceclone train fastspeech2``: the command that trains the bundled model, or one like it on your own speech."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_fastspeech2(
    corpus: Annotated[
        str,
        typer.Option(
            help="'synthetic', to render one with espeak-ng, flite and festival, or a folder with manifest.jsonl."
        ),
    ] = "synthetic",
    run: Annotated[
        Path, typer.Option(help="Working folder: features, checkpoints, TensorBoard logs. Resumed when it exists.")
    ] = Path("runs/fastspeech2"),
    out: Annotated[Path | None, typer.Option(help="Where the finished model goes; default: RUN/model.")] = None,
    part: Annotated[
        str, typer.Option(help="'acoustic', 'vocoder' or 'both'. Train the two in two processes to use two cores.")
    ] = "both",
    minutes: Annotated[float, typer.Option(help="Training time of each part, in minutes of this machine.")] = 60.0,
    steps: Annotated[int, typer.Option(help="End after this many steps; with 0 the time decides alone.")] = 0,
    hours: Annotated[float, typer.Option(help="Hours of speech in the synthetic corpus.")] = 6.5,
    seed: Annotated[int, typer.Option(help="Weights, data order and augmentation follow from it.")] = 1,
    processes: Annotated[int, typer.Option(help="Processes that render the corpus and compute features.")] = 2,
    export_only: Annotated[
        bool, typer.Option("--export-only", help="Write the model of what is trained so far, and stop.")
    ] = False,
    choose: Annotated[str, typer.Option(help="'best' validation score (early stopping) or the 'last' step.")] = "best",
) -> None:
    """Train the FastSpeech 2-family model: acoustic part and vocoder, on a synthetic corpus or on your own.

    Interrupt it whenever you like: the same command goes on where it stopped. Watch it with
    `tensorboard --logdir RUN`. An hour on two cores gives intelligible speech.
    """
    from rich.console import Console

    from voiceclone.errors import InvalidRequest
    from voiceclone_fastspeech2.config import Fastspeech2Config
    from voiceclone_fastspeech2.training.recipe import PARTS, Budget, export, train_part

    console = Console()
    if part not in (*PARTS, "both"):
        raise InvalidRequest(f"--part is {part!r}; it must be acoustic, vocoder or both.", field="part")
    if choose not in ("best", "last"):
        raise InvalidRequest(f"--choose is {choose!r}; it must be best or last.", field="choose")
    if not export_only:
        folder = Path(corpus)
        if corpus == "synthetic":
            from voiceclone.training.synthetic.generate import generate_corpus

            folder = run / "corpus"
            if not (folder / "manifest.jsonl").is_file():
                generate_corpus(folder, hours=hours, seed=seed, processes=processes)
        for name in PARTS if part == "both" else (part,):
            train_part(name, folder, run, Fastspeech2Config(), Budget(steps, minutes), seed=seed, console=console)  # type: ignore[arg-type]
    if part == "both" or export_only:
        target = out or run / "model"
        revision = export(run, target, choose=choose)  # type: ignore[arg-type]
        console.print(f"model {revision} written to {target}")


def register(cli: typer.Typer) -> None:
    """Hang the command below ``voiceclone train``."""
    group = next((g.typer_instance for g in cli.registered_groups if g.name == "train"), None)
    if group is None:
        group = typer.Typer(help="Train and fine-tune models.")
        cli.add_typer(group, name="train")
    group.command("fastspeech2")(train_fastspeech2)
