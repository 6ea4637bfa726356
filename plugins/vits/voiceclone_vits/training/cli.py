"""``voiceclone train vits``: train a VITS or VITS2, or teach one that exists a new voice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def train_vits(
    corpus: Annotated[
        Path,
        typer.Option(
            help="A folder with manifest.jsonl, a folder of NAME.wav beside NAME.txt (subfolders are speakers), or a "
            "filelist of audio|text or audio|speaker|text."
        ),
    ],
    init: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A checkpoint to fine-tune: a folder or file of VITS, VITS2, MMS (transformers), coqui or piper. "
            "Without it, a new model is trained.",
        ),
    ] = None,
    run: Annotated[
        Path, typer.Option(help="Working folder: audio, checkpoints, TensorBoard logs. Resumed when it exists.")
    ] = Path("runs/vits"),
    out: Annotated[Path | None, typer.Option(help="Where the finished model goes; default: RUN/model.")] = None,
    preset: Annotated[str, typer.Option(help="A new model's size and recipe: vits, vits2 or small.")] = "vits",
    config: Annotated[
        Path | None, typer.Option(help="A config.json of VITS or VITS2, for a new model of that size.")
    ] = None,
    valid: Annotated[Path | None, typer.Option(help="A filelist of utterances to validate on.")] = None,
    audio_root: Annotated[Path | None, typer.Option(help="Folder that the filelists' paths are relative to.")] = None,
    speaker: Annotated[str | None, typer.Option(help="Train on this speaker of the corpus alone.")] = None,
    speaker_vectors: Annotated[
        Path | None,
        typer.Option(help="Vectors of the speakers, for models that take them: JSON, or coqui's speakers.pth."),
    ] = None,
    language: Annotated[str | None, typer.Option(help="Language of the corpus, for models with several.")] = None,
    text: Annotated[
        str,
        typer.Option(
            help="How texts become tokens: 'symbols' as they stand, 'english' through the English frontend, 'phones' "
            "of the manifest, or 'auto'."
        ),
    ] = "auto",
    longest: Annotated[float, typer.Option(help="Utterances longer than this many seconds are left out.")] = 12.0,
    steps: Annotated[
        int | None, typer.Option(help="End after this many steps; default 2000 with --from, 300000 without.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="End after so many minutes of training; 0: the steps decide.")] = 0.0,
    batch_size: Annotated[int, typer.Option(help="Utterances a step on each device.")] = 16,
    learning_rate: Annotated[float | None, typer.Option(help="Default 2e-5 with --from, 2e-4 without.")] = None,
    precision: Annotated[
        str, typer.Option(help="fp32, bf16 or fp16; default bf16 on a GPU that has it, else fp32.")
    ] = "",
    ema: Annotated[float, typer.Option(help="Averaging of the weights that are exported; 0 for none.")] = 0.999,
    clip_norm: Annotated[float, typer.Option(help="Largest norm of a gradient; 0 for no limit.")] = 0.0,
    mel_weight: Annotated[float, typer.Option(help="Weight of the mel loss.")] = 45.0,
    kl_weight: Annotated[float, typer.Option(help="Weight of the KL loss.")] = 1.0,
    duration_discriminator: Annotated[
        str | None,
        typer.Option(help="none, dur_disc_1 or dur_disc_2; default as the preset or the checkpoint has it."),
    ] = None,
    mas_noise: Annotated[
        float | None, typer.Option(help="VITS2's noise on the alignment at the start; default as the preset has it.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; default cuda where there is one.")] = "",
    devices: Annotated[int, typer.Option(help="How many GPUs, or CPU processes, learn together.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads that prepare batches ahead; 0: none.")] = 2,
    seed: Annotated[int, typer.Option(help="Weights, data order and noise follow from it.")] = 1234,
    save_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 500,
    validate_every: Annotated[int, typer.Option(help="Steps between validations.")] = 500,
    plot_every: Annotated[int, typer.Option(help="Steps between sounds and pictures in TensorBoard.")] = 1000,
    choose: Annotated[str, typer.Option(help="Export the 'last' step or the 'best' validation score.")] = "last",
    export_only: Annotated[
        bool, typer.Option("--export-only", help="Write the model of what is trained so far, and stop.")
    ] = False,
) -> None:
    """Train a VITS or VITS2 from nothing, or fine-tune any VITS checkpoint on a minute of speech or more.

    Interrupt it whenever you like: the same command goes on where it stopped. Watch it with
    `tensorboard --logdir RUN`. The model is written as safetensors, and as G_*.pth with config.json.
    """
    from rich.console import Console

    from voiceclone.errors import InvalidRequest
    from voiceclone_vits.training.devices import default_device
    from voiceclone_vits.training.recipe import Plan, export, train
    from voiceclone_vits.training.text import MODES

    if text not in MODES:
        raise InvalidRequest(f"--text is {text!r}; it must be one of {', '.join(MODES)}.", field="text")
    if choose not in ("best", "last"):
        raise InvalidRequest(f"--choose is {choose!r}; it must be best or last.", field="choose")
    settings: dict[str, Any] = {
        "minutes": minutes, "batch_size": batch_size, "precision": precision or _precision(device or default_device()),
        "ema": ema, "clip_norm": clip_norm, "mel_weight": mel_weight, "kl_weight": kl_weight, "threads": threads,
        "seed": seed, "save_every": save_every, "validate_every": validate_every, "plot_every": plot_every,
    }  # fmt: skip
    given = {"steps": steps, "learning_rate": learning_rate, "duration_discriminator": duration_discriminator,
             "mas_noise": mas_noise}  # fmt: skip
    settings |= {name: value for name, value in given.items() if value is not None}
    if not export_only:
        plan = Plan(
            corpus, run, init, preset, config, valid, audio_root, speaker, speaker_vectors, language,
            text,
            longest, device, devices, settings,
        )  # fmt: skip
        try:
            train(plan)
        except ValueError as error:
            raise InvalidRequest(str(error)) from error
    console = Console()
    for path in export(run, out or run / "model", choose=choose):  # type: ignore[arg-type]
        console.print(f"written: {path}")


def _precision(device: str) -> str:
    import torch

    return "bf16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "fp32"


def register(cli: typer.Typer) -> None:
    """Hang the command below ``voiceclone train``."""
    group = next((g.typer_instance for g in cli.registered_groups if g.name == "train"), None)
    if group is None:
        group = typer.Typer(help="Train and fine-tune models.")
        cli.add_typer(group, name="train")
    group.command("vits")(train_vits)
