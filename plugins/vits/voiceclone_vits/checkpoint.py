"""A VITS as it was read from disk, whoever saved it, and the way from a path to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.checkpoints import load_into
from voiceclone.errors import ModelFilesInvalid, describe
from voiceclone_vits.config import SpeakerKind, VitsConfig
from voiceclone_vits.net import Vits
from voiceclone_vits.symbols import SymbolTable

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """``tensors`` of the generator under the names of the original VITS, and all that is needed to speak with it."""

    #: Which layout it had, such as "jaywalnut310/vits".
    layout: str
    config: VitsConfig
    tensors: Mapping[str, Tensor]
    symbols: SymbolTable
    speakers: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    #: Weights of training alone, such as "discriminator", under the names of the original.
    training: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    #: Vectors ``[D]`` of speakers by name, where the model takes vectors and its folder has some.
    vectors: Mapping[str, Tensor] = field(default_factory=dict)
    #: Names of the files that were read, relative to the model's folder.
    files: tuple[str, ...] = ()

    def build(self, weight_norm: bool = False) -> Vits:
        """The module, in eval mode; with ``weight_norm`` as it is trained, else folded. Raises ModelFilesInvalid."""
        net = Vits(self.config, weight_norm)
        load_into(net, self.tensors, self.files[0] if self.files else "the checkpoint")
        return net.eval()

    def without_speaker(self) -> Checkpoint:
        """The same with nothing conditioned on a speaker: what transformers runs when it is given none."""
        config = replace(
            self.config, speaker_kind=SpeakerKind.ONE, speakers=0, speaker_channels=0,
            decoder=replace(self.config.decoder, speaker=0), text=replace(self.config.text, speaker_layer=None),
        )  # fmt: skip
        tensors = {name: value for name, value in self.tensors.items() if not is_speaker_tensor(name)}
        return replace(self, config=config, tensors=tensors, speakers=())


def is_speaker_tensor(name: str) -> bool:
    """Whether the tensor serves to condition on a speaker."""
    return name == "emb_g.weight" or any(
        f".{part}." in name for part in ("cond", "cond_layer", "cond_pre", "spk_emb_linear")
    )


def known(path: Path) -> bool:
    """Whether one of the layouts is at ``path``, whole or not."""
    return _find(path) is not None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read whatever VITS is at ``path``: a folder, or a weight file with its configuration beside it.

    Raises ModelFilesInvalid naming what was expected and what was found.
    """
    if not path.exists():
        raise ModelFilesInvalid(f"there is nothing at {path.name!r}.")
    found = _find(path)
    if found is None:
        folder = path if path.is_dir() else path.parent
        names = ", ".join(sorted(item.name for item in folder.iterdir())[:12]) or "nothing"
        raise ModelFilesInvalid(
            f"{path.name!r} is no VITS that is known here; found {names}.",
            hint="Expected one of: G_*.pth and config.json (VITS, VITS2, MMS), model.safetensors with a config.json of "
            'model_type "vits" (transformers), model.pth and config.json (coqui), or a .ckpt (piper).',
        )
    name, read = found
    try:
        return _settled(read())
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise ModelFilesInvalid(
            f"{path.name!r} has the layout of {name} but cannot be read as that: {describe(error)[:200]}.",
            hint="Weights and configuration must come from the same training run, whole.",
        ) from error


def _find(path: Path) -> tuple[str, Callable[[], Checkpoint]] | None:
    """Name of the layout at ``path``, and what reads it."""
    from voiceclone_vits.layouts import coqui, hugging_face, original, own, piper

    for layout in (own, hugging_face, coqui, piper, original):
        found = layout.find(path)
        if found is not None:
            return layout.__name__.rpartition(".")[2], partial(layout.read, found)
    return None


def _settled(checkpoint: Checkpoint) -> Checkpoint:
    """Without layers for a speaker where the model has no speakers: single-speaker trainings may leave them."""
    config = checkpoint.config
    orphaned = config.speaker_kind is SpeakerKind.ONE and config.speaker_channels
    return checkpoint.without_speaker() if orphaned else checkpoint
