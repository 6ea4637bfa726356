"""Parts of VITS training: losses, slices, alignment, discriminators, batches and texts, against plain definitions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from voiceclone_vits.symbols import VITS_SYMBOLS, Alphabet, SymbolTable, numbered
from voiceclone_vits.training import losses
from voiceclone_vits.training.alignment import align, expand, gaussian_score
from voiceclone_vits.training.average import Average
from voiceclone_vits.training.batches import Batches
from voiceclone_vits.training.corpus import Line, hold_out, read_corpus, read_filelist
from voiceclone_vits.training.discriminators import MultiPeriodDiscriminator
from voiceclone_vits.training.duration_discriminators import DurationDiscriminator
from voiceclone_vits.training.settings import TrainConfig
from voiceclone_vits.training.slicing import cut, segment_starts
from voiceclone_vits.training.spectrogram import Spectrogram, SpectrogramConfig
from voiceclone_vits.training.step import Optimizer
from voiceclone_vits.training.store import StoreConfig, open_store
from voiceclone_vits.training.text import LineReader

from voiceclone.errors import InvalidManifest, InvalidRequest, ModelFilesInvalid

QUIET = Console(quiet=True)


def test_the_score_is_a_gaussian_log_likelihood() -> None:
    torch.manual_seed(0)
    z, mean, log_std = torch.randn(2, 5, 11), torch.randn(2, 5, 7), 0.3 * torch.randn(2, 5, 7)
    z64, mean64, std64 = z.double(), mean.double(), log_std.double().exp()
    normal = torch.distributions.Normal(mean64[:, :, None], std64[:, :, None])
    expected = normal.log_prob(z64[:, :, :, None]).sum(1)
    assert torch.allclose(gaussian_score(z, mean, log_std).double(), expected, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        assert gaussian_score(z, mean, log_std).dtype == torch.float32


def test_padding_does_not_change_an_alignment() -> None:
    torch.manual_seed(1)
    frames, tokens = torch.tensor([23, 9, 4]), torch.tensor([8, 9, 6])
    z, mean, log_std = torch.randn(3, 6, 23), torch.randn(3, 6, 9), torch.randn(3, 6, 9)
    together = align(z, mean, log_std, frames, tokens)
    for row in range(3):
        f, t = int(frames[row]), int(tokens[row])
        one = slice(row, row + 1)
        alone = align(z[one, :, :f], mean[one, :, :t], log_std[one, :, :t], frames[one], tokens[one])
        assert torch.equal(together.tokens[row, :f], alone.tokens[0])
        assert torch.equal(together.durations[row, :t], alone.durations[0])


def test_noise_moves_an_alignment() -> None:
    torch.manual_seed(2)
    z, mean, log_std = torch.randn(1, 4, 60), 0.01 * torch.randn(1, 4, 20), torch.zeros(1, 4, 20)
    lengths = torch.tensor([60]), torch.tensor([20])
    plain = align(z, mean, log_std, *lengths)
    noise = torch.randn(1, 60, 20)
    assert torch.equal(align(z, mean, log_std, *lengths, noise, 0.0).tokens, plain.tokens)
    assert not torch.equal(align(z, mean, log_std, *lengths, noise, 1.0).tokens, plain.tokens)


def test_expansion_equals_the_product_with_the_path_and_so_does_its_gradient() -> None:
    torch.manual_seed(3)
    lengths = torch.tensor([13, 7]), torch.tensor([5, 4])
    stats = torch.randn(2, 3, 5, requires_grad=True)
    alignment = align(torch.randn(2, 3, 13), stats, torch.zeros(2, 3, 5), *lengths)
    weight = torch.randn(2, 3, 13)
    (by_index,) = torch.autograd.grad((expand(stats, alignment) * weight).sum(), stats)
    product = stats @ alignment.path("tokens_frames")
    (by_product,) = torch.autograd.grad((product * weight).sum(), stats)
    assert torch.equal(expand(stats, alignment), product)
    assert torch.allclose(by_index, by_product, atol=1e-6)


def test_segments_stay_inside_their_sample() -> None:
    frames = torch.tensor([50, 32, 10, 1])
    starts = segment_starts(torch.tensor([0.9999, 0.9999, 0.5, 0.0]), frames, 32)
    assert starts.tolist() == [18, 0, 0, 0]
    values = torch.arange(50.0).expand(4, 2, 50)
    assert cut(values, starts, 32)[0, 1].tolist() == list(range(18, 50))
    assert cut(values[:, :, :10], torch.zeros(4).long(), 12)[0, 0].tolist() == [*range(10), 0, 0]


def test_kl_is_zero_between_equal_distributions_in_the_mean() -> None:
    torch.manual_seed(4)
    mean, log_std = torch.randn(1, 4, 5000), 0.2 * torch.randn(1, 4, 5000)
    z = mean + torch.randn_like(mean) * log_std.exp()
    loss = losses.kl_loss(z, log_std, mean, log_std, torch.ones(1, 1, 5000))
    assert abs(float(loss)) < 0.1
    assert float(losses.kl_loss(z + 1, log_std, mean, log_std, torch.ones(1, 1, 5000))) > 1


def test_adversarial_losses_at_their_ends() -> None:
    ones, zeros = [torch.ones(2, 3)] * 2, [torch.zeros(2, 3)] * 2
    assert float(losses.discriminator_loss(ones, zeros)) == 0
    assert float(losses.discriminator_loss(zeros, ones)) == 4
    assert float(losses.generator_loss(ones)) == 0
    assert float(losses.feature_loss([ones], [zeros])) == 4


def test_duration_error_counts_tokens_only() -> None:
    mask = torch.tensor([[[1.0, 1.0, 0.0]]])
    target = losses.log_durations(torch.tensor([[1, 4, 0]]), mask)
    assert math.isclose(float(target[0, 0, 1]), math.log(4 + 1e-6), rel_tol=1e-6)
    assert float(target[0, 0, 2]) == 0
    assert math.isclose(float(losses.duration_error(target + mask, target, mask)), 1.0, rel_tol=1e-6)


def test_a_mel_spectrogram_does_not_depend_on_what_is_beside_it() -> None:
    spectrogram = Spectrogram(SpectrogramConfig(16000, 256, 64, 256, 20))
    torch.manual_seed(5)
    long, short = 0.1 * torch.randn(1, 640), 0.1 * torch.randn(1, 384)
    pad = spectrogram.config.pad
    rows = [torch.nn.functional.pad(wave, (pad, pad), mode="reflect")[0] for wave in (long, short)]
    both = spectrogram.linear_of_padded(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True))
    assert torch.allclose(both[1, :, :6], spectrogram.linear(short)[0], atol=1e-6)
    assert spectrogram(long).shape == (1, 20, 10)


@pytest.mark.parametrize("length", [512, 501])
def test_discriminators_read_their_width_off_their_weights(length: int) -> None:
    model = MultiPeriodDiscriminator(32)
    again = MultiPeriodDiscriminator.from_state(model.state_dict())
    audio = torch.randn(2, 1, length)
    scores, maps = model(audio)
    assert len(scores) == 6
    assert all(torch.equal(one, two) for one, two in zip(scores, again(audio)[0], strict=True))
    assert [len(row) for row in maps] == [7, 6, 6, 6, 6, 6]
    with pytest.raises(ModelFilesInvalid, match=r"convs\.3"):
        MultiPeriodDiscriminator.from_state({"a": audio})


@pytest.mark.parametrize("kind", ["dur_disc_1", "dur_disc_2"])
def test_duration_discriminators(kind: str) -> None:
    model = DurationDiscriminator(kind, 8)  # type: ignore[arg-type]
    again = DurationDiscriminator.from_state(model.state_dict())
    text = torch.randn(2, 8, 5, requires_grad=True)
    mask, durations = torch.ones(2, 1, 5), torch.randn(2, 1, 5, requires_grad=True)
    (scores,) = model(text, mask, durations)
    assert again.kind == kind
    assert torch.equal(scores, again(text, mask, durations)[0])
    gradients = torch.autograd.grad(scores.sum(), (text, durations), allow_unused=True)
    assert gradients[0] is None
    assert gradients[1] is not None
    assert len(model.as_judgements(scores)) == (2 if kind == "dur_disc_1" else 1)
    with pytest.raises(ModelFilesInvalid, match="dur_proj"):
        DurationDiscriminator.from_state({})


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = Optimizer([weight], TrainConfig(steps=1), torch.amp.GradScaler("cpu", enabled=False))
    _, broken = optimizer.minimise((weight * torch.tensor([1.0, float("nan"), 1.0])).sum())
    assert float(broken) == 1
    assert torch.equal(weight.detach(), torch.ones(3))
    _, broken = optimizer.minimise(weight.sum())
    assert float(broken) == 0
    assert not torch.equal(weight.detach(), torch.ones(3))


def test_the_norm_is_limited() -> None:
    weight = torch.nn.Parameter(torch.zeros(4))
    optimizer = Optimizer([weight], TrainConfig(steps=1, clip_norm=0.5), torch.amp.GradScaler("cpu", enabled=False))
    norm, _ = optimizer.minimise((10 * weight).sum())
    assert math.isclose(float(norm), 20.0, rel_tol=1e-6)
    assert weight.grad is not None
    assert math.isclose(float(weight.grad.norm()), 0.5, rel_tol=1e-4)


def test_average_follows_and_is_undone() -> None:
    model = torch.nn.Linear(2, 2)
    average = Average(model, 0.9)
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    average.update(10_000)
    assert torch.allclose(average.tensors["weight"], before + 0.1)
    with average.in_place(model):
        assert torch.allclose(model.weight, before + 0.1)
    assert torch.allclose(model.weight, before + 1)


def test_batches_are_of_similar_length_and_the_same_for_every_process() -> None:
    frames = np.random.default_rng(0).integers(20, 800, 200).tolist()
    batches = Batches(range(200), frames, 8, seed=3)
    seen = [index for step in range(batches.per_epoch) for index in batches.at(step)]
    assert sorted(seen) == list(range(200))
    spread = np.mean([np.ptp([frames[index] for index in batches.at(step)]) for step in range(25)])
    assert spread < 150
    assert [batches.at(step) for step in range(60)] == [
        Batches(range(200), frames, 8, 3).at(step) for step in range(60)
    ]
    assert {tuple(batches.at(step)) for step in range(25)} != {tuple(batches.at(step)) for step in range(25, 50)}
    pair = [Batches(range(200), frames, 4, 3, rank, 2) for rank in range(2)]
    assert sorted(pair[0].at(7) + pair[1].at(7)) == sorted(batches.at(7))


def test_few_utterances_fill_a_batch() -> None:
    batches = Batches([4, 9], [10] * 10, 5, seed=0)
    assert batches.per_epoch == 1
    assert sorted(set(batches.at(0))) == [4, 9]
    assert len(batches.at(3)) == 5
    with pytest.raises(ValueError, match="no utterance"):
        Batches([], [], 4, 0)


def test_filelists(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("a.wav|hello\n\nb.wav|7|good day\n", "utf-8")
    assert [(line.speaker, line.text) for line in read_filelist(path)] == [("speaker", "hello"), ("7", "good day")]
    path.write_text("a.wav\n", "utf-8")
    with pytest.raises(InvalidManifest, match="line 1"):
        read_corpus(path)
    with pytest.raises(InvalidManifest, match="does not exist"):
        read_corpus(tmp_path / "none")
    (tmp_path / "c.wav").touch()
    with pytest.raises(InvalidManifest, match=r"c\.wav has no text"):
        read_corpus(tmp_path)


def test_a_corpus_of_some_size_holds_utterances_out() -> None:
    lines = [Line(Path("x"), "s", "t")] * 40
    assert [line.split for line in hold_out(lines)].count("valid") == 2
    assert [line.split for line in hold_out(lines[:39])].count("valid") == 0


def test_the_store_says_what_it_leaves_out(tmp_path: Path) -> None:
    import soundfile

    for name, seconds in (("short", 0.1), ("good", 1.0), ("long", 3.0), ("silent", 1.0)):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(int(8000 * seconds), np.float32), 8000)
    lines = [Line(tmp_path / f"{name}.wav", "s", name) for name in ("short", "good", "long", "silent")]
    config = StoreConfig(16000, 256, longest=2.0)
    store = open_store(lines, lambda line: [] if line.text == "silent" else [1, 2], tmp_path / "store", config, QUIET)
    assert [line.text for line in store.lines] == ["good"]
    assert store.frames == [62]
    assert len(store.audio(0)) == 62 * 256
    assert sorted(store.left_out.values()) == [1, 1, 1]
    with pytest.raises(InvalidManifest, match="more tokens"):
        open_store(lines[1:2], lambda line: [1] * 100, tmp_path / "other", config, QUIET)
    with pytest.raises(InvalidManifest, match=r"gone\.wav"):
        open_store([Line(tmp_path / "gone.wav", "s", "x")], lambda line: [1], tmp_path / "third", config, QUIET)


def test_texts_are_read_in_the_way_that_fits() -> None:
    ipa = SymbolTable(numbered(VITS_SYMBOLS), Alphabet.IPA, None)
    names = {ids[0]: symbol for symbol, ids in ipa.ids.items()}

    def read(line: Line, mode: str = "auto") -> str:
        return "".join(names[token] for token in LineReader(ipa, mode, [line])(line))  # type: ignore[arg-type]

    phones = ("pau", "hh", "ax", "l", "ow", "pau", "m", "iy", "pau")
    line = Line(Path("x"), "s", "hello, me.", phones=phones, stresses=(0, 0, 0, 0, 1, 1, 0, 1, 2), word_starts=(1, 6))
    assert read(line) == "həlˈoʊ, mˈiː."  # noqa: RUF001
    assert read(Line(Path("x"), "s", "Me.")) == "mˈiː."  # noqa: RUF001
    assert read(Line(Path("x"), "s", "həlˈoʊ")) == "həlˈoʊ"  # noqa: RUF001
    letters = SymbolTable(numbered(" abcdehilo"), Alphabet.LETTERS, 0)
    reader = LineReader(letters, "auto", [Line(Path("x"), "s", "Hello")], ["yor"])
    assert reader(Line(Path("x"), "s", "Hi!")) == [0, 6, 0, 7, 0]
    with pytest.raises(InvalidRequest, match="no phones"):
        read(Line(Path("x"), "s", "me"), "phones")
    with pytest.raises(InvalidRequest, match="symbols"):
        LineReader(SymbolTable({}), "auto", [])


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="no end"):
        TrainConfig()
    with pytest.raises(ValueError, match="precision"):
        TrainConfig(steps=1, precision="int8")  # type: ignore[arg-type]
    config = TrainConfig(steps=1, mas_noise=0.01)
    assert math.isclose(config.mas_noise_at(500), 0.009)
    assert config.mas_noise_at(5000) == 0
