"""VITS training as a whole, tiny: learning, stopping and resuming, starting from each layout, exporting back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console
from torch.utils._python_dispatch import TorchDispatchMode
from voiceclone_vits.checkpoint import read_checkpoint
from voiceclone_vits.config import SpeakerKind
from voiceclone_vits.training.devices import OneDevice, run_on_devices
from voiceclone_vits.training.export import read_run
from voiceclone_vits.training.recipe import Plan, export, prepare, train
from voiceclone_vits.training.start import fit_speakers, speaker_inputs, start_from
from voiceclone_vits.training.trainer import GanTrainer

from voiceclone.errors import InvalidManifest, InvalidRequest, ModelFilesInvalid

pytest.importorskip("tensorboard", reason="the training extra is not installed")
pytest.importorskip("matplotlib", reason="the training extra is not installed")

QUIET = Console(quiet=True)
RATE, HOP = 8000, 64
SETTINGS: dict[str, Any] = {
    "steps": 4, "batch_size": 2, "discriminator_divisor": 64, "log_every": 1, "save_every": 2, "validate_every": 100,
    "plot_every": 0, "threads": 0,
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Tiny products on several threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config(**model: Any) -> dict[str, Any]:
    """A config.json of the original's kind, as small as can be."""
    return {
        "train": {"segment_size": 8 * HOP},
        "data": {
            "sampling_rate": RATE, "filter_length": 256, "hop_length": HOP, "win_length": 256, "n_mel_channels": 20,
            "add_blank": True, "n_speakers": 0,
        },
        "model": {
            "inter_channels": 8, "hidden_channels": 8, "filter_channels": 16, "n_heads": 2, "n_layers": 1,
            "kernel_size": 3, "p_dropout": 0.1, "resblock": "2", "resblock_kernel_sizes": [3],
            "resblock_dilation_sizes": [[1, 2]], "upsample_rates": [8, 8], "upsample_initial_channel": 16,
            "upsample_kernel_sizes": [16, 16], **model,
        },
    }  # fmt: skip


VITS2 = {
    "use_mel_posterior_encoder": True, "use_transformer_flows": True, "transformer_flow_type": "pre_conv",
    "use_noise_scaled_mas": True, "use_duration_discriminator": True, "duration_discriminator_type": "dur_disc_1",
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four recordings of two speakers, folders of sound beside text."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for index, text in enumerate(("one day", "two", "me too", "so far")):
        speaker = folder / ("ann" if index < 2 else "bob")
        speaker.mkdir(exist_ok=True)
        time = np.arange(int((0.9 + 0.1 * index) * RATE)) / RATE
        wave = 0.2 * np.sin(2 * np.pi * (120 + 60 * index) * time) + 0.01 * rng.normal(size=len(time))
        soundfile.write(speaker / f"{index}.wav", wave.astype(np.float32), RATE)
        (speaker / f"{index}.txt").write_text(text + "\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def plan(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Plan]:
    """A plan with a run folder and a configuration of its own."""

    def make(name: str, model: dict[str, Any] | None = None, **fields: Any) -> Plan:
        folder = tmp_path_factory.mktemp(name)
        if "init" not in fields:
            (folder / "config.json").write_text(json.dumps(config(**(model or {}))), "utf-8")
            fields["config"] = folder / "config.json"
        settings = {**SETTINGS, "segment_size": 8 * HOP, **fields.pop("settings", {})}
        return Plan(**{"corpus": corpus, "run": folder / "run", "speaker": "ann", "settings": settings, **fields})

    return make


def ran(plan: Plan, **settings: Any) -> GanTrainer:
    trainer = prepare(OneDevice("cpu"), replace(plan, settings={**plan.settings, **settings}), QUIET)
    trainer.run(QUIET)
    return trainer


@pytest.fixture(scope="module")
def trained(plan: Callable[..., Plan]) -> Path:
    """A run of the original's kind."""
    chosen = plan("trained")
    ran(chosen, plot_every=100)
    return chosen.run


@pytest.mark.parametrize("model", [{}, VITS2], ids=["vits", "vits2"])
def test_a_resumed_run_has_the_losses_of_a_whole_one(plan: Callable[..., Plan], model: dict[str, Any]) -> None:
    whole = ran(plan("whole", model))
    halved = plan("halved", model)
    first, second = ran(halved, steps=2), ran(halved)
    assert len(first.history) == len(second.history) == 2
    assert whole.history == first.history + second.history
    assert all(np.isfinite(list(values.values())).all() for _, values in whole.history)
    assert ("duration_discriminator" in whole.history[0][1]) == bool(model)
    for name, value in whole.average.tensors.items():
        assert torch.equal(value, second.average.tensors[name])


def test_it_learns(plan: Callable[..., Plan]) -> None:
    trainer = ran(plan("learns", settings={"steps": 20, "learning_rate": 3e-3, "save_every": 100}))
    mel = [values["mel"] for _, values in trainer.history]
    assert np.mean(mel[-5:]) < 0.8 * np.mean(mel[:5])
    kl = [values["kl"] for _, values in trainer.history]
    assert np.mean(kl[-5:]) < np.mean(kl[:5])


class _Reads(TorchDispatchMode):
    """Counts the numbers that are read back from tensors: on a GPU each one waits for all work before it."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_a_step_reads_nothing_back(plan: Callable[..., Plan]) -> None:
    trainer = prepare(OneDevice("cpu"), plan("reads", VITS2), QUIET)
    batch = trainer.collate(trainer.batches.at(0))
    with _Reads() as reads:
        trainer.take_step(batch, 0)
    # The search checks the lengths it is given, on the CPU alone: two ends of two tensors.
    assert reads.count <= 4


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_steps_are_finite(plan: Callable[..., Plan], precision: str) -> None:
    trainer = ran(plan(precision, settings={"steps": 2, "precision": precision}))
    assert trainer.skipped == 0 or precision == "fp16"
    assert all(np.isfinite(values["mel"]) for _, values in trainer.history)


def test_tensorboard_has_sounds_and_pictures(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"audio/generated_0", "audio/recording_0"} <= set(tags["audio"])
    assert {"mel/0", "alignment/0"} <= set(tags["images"])
    assert {"train/mel", "train/kl", "train/learning_rate", "valid/mel"} <= set(tags["scalars"])


def test_exports_are_read_back(trained: Path, tmp_path: Path) -> None:
    written = export(trained, tmp_path / "model")
    assert [path.name for path in written] == ["model.safetensors", "G_4.pth"]
    mine, original = read_checkpoint(tmp_path / "model"), read_checkpoint(tmp_path / "model" / "original")
    assert original.layout == "jaywalnut310/vits"
    assert original.config == mine.config
    assert original.symbols == mine.symbols
    average = read_run(trained).checkpoint.tensors
    for found in (mine, original):
        assert found.tensors.keys() == average.keys()
        assert all(torch.equal(found.tensors[name], value) for name, value in average.items())
    payload = torch.load(tmp_path / "model" / "original" / "G_4.pth", weights_only=True)
    assert payload["iteration"] == 4
    again = torch.optim.AdamW(mine.build(weight_norm=True).parameters())
    again.load_state_dict(payload["optimizer"])


def test_the_original_layout_keeps_what_vits2_has(plan: Callable[..., Plan], tmp_path: Path) -> None:
    chosen = plan("two", VITS2, settings={"steps": 2})
    ran(chosen)
    export(chosen.run, tmp_path, choose="best")
    assert (tmp_path / "original" / "DUR_2.pth").is_file()
    found = read_checkpoint(tmp_path / "original")
    assert found.config == read_checkpoint(tmp_path).config
    start = start_from(tmp_path / "original", ["ann"])
    assert start.durations is not None
    assert start.discriminator is not None
    tuned = ran(plan("tuned", init=tmp_path / "original", settings={"steps": 2}))
    assert "duration_discriminator" in tuned.history[0][1]


def test_fine_tuning_begins_where_the_checkpoint_is(plan: Callable[..., Plan], trained: Path, tmp_path: Path) -> None:
    export(trained, tmp_path)
    chosen = plan("fine", init=tmp_path / "original", settings={"steps": 1, "ema": 0.0})
    trainer = prepare(OneDevice("cpu"), chosen, QUIET)
    assert trainer.config.learning_rate == 2e-5
    assert all(torch.equal(value, read_run(trained).checkpoint.tensors[name])
               for name, value in read_checkpoint(tmp_path).tensors.items())  # fmt: skip
    trainer.run(QUIET)
    last = read_run(chosen.run).checkpoint
    assert last.symbols == read_checkpoint(tmp_path).symbols
    moved = max(float((last.tensors[name] - value).abs().max())
                for name, value in read_checkpoint(tmp_path).tensors.items())  # fmt: skip
    assert 0 < moved < 1e-3


def test_speaker_tables_grow(plan: Callable[..., Plan], tmp_path: Path) -> None:
    chosen = plan("several", {"gin_channels": 6}, speaker=None, settings={"steps": 1})
    trainer = ran(chosen)
    assert {values["kl"] > 0 for _, values in trainer.history} == {True}
    export(chosen.run, tmp_path)
    checkpoint = read_checkpoint(tmp_path / "original")
    assert checkpoint.speakers == ("ann", "bob")
    grown = fit_speakers(checkpoint, ["bob", "eve"])
    assert grown.speakers == ("ann", "bob", "eve")
    assert grown.config.speakers == 3
    table = grown.tensors["emb_g.weight"]
    assert torch.equal(table[:2], checkpoint.tensors["emb_g.weight"])
    assert torch.allclose(table[2], table[:2].mean(dim=0))
    assert speaker_inputs(grown, None, {}) == {"ann": 0, "bob": 1, "eve": 2}
    grown.build()
    assert fit_speakers(checkpoint, ["ann"]).config == checkpoint.config


def test_speakers_told_by_vectors(trained: Path, tmp_path: Path) -> None:
    checkpoint = read_run(trained).checkpoint
    vectors = replace(
        checkpoint, config=replace(checkpoint.config, speaker_kind=SpeakerKind.VECTOR, speaker_channels=3)
    )
    with pytest.raises(InvalidRequest, match="vector"):
        speaker_inputs(vectors, None, {})
    file = tmp_path / "speakers.json"
    file.write_text(json.dumps({"a.wav": {"name": "ann", "embedding": [1, 2, 3]}, "bob": [0, 0, 1]}), "utf-8")
    given = speaker_inputs(vectors, file, {})
    assert given is not None
    assert torch.equal(torch.as_tensor(given["ann"]), torch.tensor([1.0, 2.0, 3.0]))
    file.write_text(json.dumps({"bob": [0, 0]}), "utf-8")
    with pytest.raises(ModelFilesInvalid, match="takes 3"):
        speaker_inputs(vectors, file, {})


def test_what_cannot_be_trained_is_told(plan: Callable[..., Plan], trained: Path, tmp_path: Path) -> None:
    export(trained, tmp_path)
    with pytest.raises(InvalidRequest, match="one voice"):
        prepare(OneDevice("cpu"), plan("a", init=tmp_path, speaker=None), QUIET)
    with pytest.raises(InvalidRequest, match="no speaker 'eve'"):
        prepare(OneDevice("cpu"), plan("b", speaker="eve"), QUIET)
    with pytest.raises(InvalidRequest, match="preset"):
        prepare(OneDevice("cpu"), replace(plan("c"), config=None, preset="huge"), QUIET)
    with pytest.raises(InvalidManifest, match="does not exist"):
        prepare(OneDevice("cpu"), plan("d", corpus=tmp_path / "none"), QUIET)
    with pytest.raises(InvalidRequest, match="multiple of the hop"):
        prepare(OneDevice("cpu"), plan("e", settings={"segment_size": 100}), QUIET)
    with pytest.raises(ModelFilesInvalid, match="no checkpoint"):
        export(tmp_path / "empty", tmp_path / "out")
    other = plan("f", {"hidden_channels": 12}, run=trained)
    (trained / "start" / "vits.json").rename(tmp_path / "kept.json")
    try:
        with pytest.raises(ModelFilesInvalid, match="another model"):
            ran(other)
    finally:
        (tmp_path / "kept.json").rename(trained / "start" / "vits.json")


def test_two_processes_learn_together(plan: Callable[..., Plan]) -> None:
    pytest.importorskip("lightning_fabric", reason="the training extra is not installed")
    chosen = plan("pair", devices=2, device="cpu", settings={"steps": 2, "batch_size": 1, "threads": 0})
    train(chosen)
    found = read_run(chosen.run)
    assert found.step == 2
    assert all(bool(value.isfinite().all()) for value in found.checkpoint.tensors.values())


def test_one_device_needs_nothing_installed() -> None:
    seen: list[int] = []
    run_on_devices(lambda devices: seen.append(devices.world), 1, "cpu")
    assert seen == [1]
