"""A decoder's weights as one linear stream of bytes: what `decode_step` reads, on the CPU and on CUDA alike."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

WeightFormat = Literal["float32", "bfloat16", "int8"]
Activation = Literal["relu", "gelu", "gelu_tanh"]

FORMATS: tuple[WeightFormat, ...] = ("float32", "bfloat16", "int8")
ACTIVATIONS: tuple[Activation, ...] = ("relu", "gelu", "gelu_tanh")
#: Of csrc/step/layout.h: outputs of a tile, inputs that int8 activations share a scale for, alignment, first number.
TILE, GROUP, LINE, MAGIC = 32, 128, 128, 0x31534356


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """What a decoder is, apart from its weights."""

    layers: int
    width: int
    heads: int
    #: Width between the two matrices of the feed-forward part.
    hidden: int
    #: Tokens the head can predict.
    vocabulary: int
    #: Rows of the token embedding; may be more than the head predicts (a start token).
    inputs: int
    #: Rows of the positional table.
    positions: int
    activation: Activation = "relu"
    #: True: ``x + f(norm(x))`` (VALL-E, GPT-2); False: ``norm(x + f(x))`` (GPT-SoVITS).
    pre_norm: bool = False
    #: Norms between the last layer and the head: 0 (GPT-SoVITS), 1 (VALL-E) or 2 (XTTS).
    final_norms: int = 0

    def __post_init__(self) -> None:
        numbers = (self.layers, self.width, self.heads, self.hidden, self.vocabulary, self.inputs, self.positions)
        if min(numbers) < 1:
            raise ValueError(f"every number of a decoder's shape must be positive, got {self}")
        if self.width % self.heads or self.width // self.heads % 8 or self.width // self.heads > 128:
            raise ValueError(f"width / heads must be a multiple of 8 up to 128, got {self.width} / {self.heads}")
        if self.vocabulary > self.inputs:
            raise ValueError(f"each of the {self.vocabulary} tokens needs an embedding, there are {self.inputs}")
        if self.activation not in ACTIVATIONS or self.final_norms not in (0, 1, 2):
            raise ValueError(f"activation must be one of {ACTIVATIONS} and final_norms 0 to 2, got {self}")

    def numbers(self, weight_format: WeightFormat) -> list[int]:
        """As the native op takes it."""
        return [
            self.layers, self.width, self.heads, self.hidden, self.vocabulary, self.inputs, self.positions,
            FORMATS.index(weight_format), ACTIVATIONS.index(self.activation), int(self.pre_norm), self.final_norms,
        ]  # fmt: skip

    def scratch(self) -> int:
        """Floats a row needs while a step runs: x, qkv, context, ffn, logits."""
        return 5 * self.width + self.hidden + self.vocabulary

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights, in the order of the stream; biases may be left out when packing."""
        found: dict[str, tuple[int, ...]] = {
            "embedding": (self.inputs, self.width),
            "positions": (self.positions, self.width),
        }
        parts = {
            "norm1": (self.width,),
            "qkv": (3 * self.width, self.width),
            "out": (self.width, self.width),
            "norm2": (self.width,),
            "ffn_in": (self.hidden, self.width),
            "ffn_out": (self.width, self.hidden),
        }
        for layer in range(self.layers):
            for name, sizes in parts.items():
                found[f"layers.{layer}.{name}.weight"] = sizes
                found[f"layers.{layer}.{name}.bias"] = sizes[:1]
        for index in range(self.final_norms):
            found[f"final_norms.{index}.weight"] = found[f"final_norms.{index}.bias"] = (self.width,)
        found["head.weight"], found["head.bias"] = (self.vocabulary, self.width), (self.vocabulary,)
        return found


@dataclass(frozen=True, slots=True)
class PackedDecoder:
    """A decoder ready for :func:`voiceclone.ops.decode_step`."""

    shape: DecoderShape
    weight_format: WeightFormat
    #: uint8, one stream.
    weights: Tensor
    epsilon: float = 1e-5

    def to(self, device: torch.device | str) -> PackedDecoder:
        return PackedDecoder(self.shape, self.weight_format, self.weights.to(device), self.epsilon)


def pack_decoder(
    shape: DecoderShape, weights: Mapping[str, Tensor], weight_format: WeightFormat, *, epsilon: float = 1e-5
) -> PackedDecoder:
    """Pack ``weights``, named and shaped as :meth:`DecoderShape.tensors` says, for CPU or (``.to``) CUDA.

    ``positions`` is the whole table that is added to token embeddings, a scale already multiplied in. Matrices become
    ``weight_format``: bfloat16, or int8 with one scale an output (activations are then rounded to bfloat16, or to int8
    with a scale for each 128 inputs). Embeddings, biases and norms stay float32.

    Raises ValueError for missing, unknown or misshapen weights.
    """
    if weight_format not in FORMATS:
        raise ValueError(f"weight_format must be one of {FORMATS}, got {weight_format!r}")
    wanted = shape.tensors()
    if unknown := weights.keys() - wanted:
        raise ValueError(f"these weights have no place in the decoder: {', '.join(sorted(unknown))}")
    given = {}
    for name, sizes in wanted.items():
        found = weights.get(name)
        if found is None and not name.endswith(".bias"):
            raise ValueError(f"the weight {name} {list(sizes)} is missing")
        if found is not None and (tuple(found.shape) != sizes or not found.is_floating_point()):
            raise ValueError(f"the weight {name} must be floating {list(sizes)}, got {found.dtype} {list(found.shape)}")
        given[name] = torch.zeros(sizes) if found is None else found.detach().to("cpu", torch.float32)
    header = torch.zeros(LINE // 4, dtype=torch.int32)
    header[:12] = torch.tensor([MAGIC, *shape.numbers(weight_format)])
    sizes_of = [LINE, *(part.stop - part.start for part in _parts(shape, weight_format).values())]
    stream = huge_pages(torch.empty(sum(sizes_of), dtype=torch.uint8))
    stream[:LINE] = header.view(torch.uint8)
    for name, part in _parts(shape, weight_format).items():
        whole, _, kind = name.partition(":")
        stream[part] = _aligned(_encoded(given[whole], kind, weight_format))
    return PackedDecoder(shape, weight_format, stream, epsilon)


def unpack_decoder(packed: PackedDecoder) -> dict[str, Tensor]:
    """The float32 weights that the stream stands for: rounded as packing rounded them."""
    found: dict[str, Tensor] = {}
    scales: dict[str, Tensor] = {}
    sizes = packed.shape.tensors()
    for name, part in _parts(packed.shape, packed.weight_format).items():
        whole, _, kind = name.partition(":")
        data = packed.weights[part]
        rows = sizes[whole][0]
        if kind == "scale":
            scales[whole] = data.view(torch.float32)[:rows]
        elif kind == "words":
            found[whole] = _matrix(data, packed.weight_format, sizes[whole])
            if whole in scales:
                found[whole] = found[whole] * scales[whole][:, None]
        else:
            count = 1
            for size in sizes[whole]:
                count *= size
            found[whole] = data.view(torch.float32)[:count].view(sizes[whole])
    return found


def huge_pages(memory: Tensor) -> Tensor:
    """Ask the system to back a large CPU tensor that nobody has touched yet with huge pages; returns it."""
    page, madv_hugepage = 2 << 20, 14
    begin = -(-memory.data_ptr() // page) * page
    size = memory.data_ptr() + memory.nbytes - begin
    if sys.platform == "linux" and size >= page:
        # Refused or unknown, it is slower and as right.
        ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(size), madv_hugepage)
    return memory


def _parts(shape: DecoderShape, weight_format: WeightFormat) -> dict[str, slice]:
    """Where each piece lies, "NAME:KIND"; a matrix is bias, scale (int8), words."""
    return dict(_walk(shape, weight_format))


def _walk(shape: DecoderShape, weight_format: WeightFormat) -> Iterator[tuple[str, slice]]:
    at = LINE
    width_of = {"float32": 4, "bfloat16": 2, "int8": 1}[weight_format]
    sizes = shape.tensors()
    for name, size in sizes.items():
        matrix = len(size) == 2 and name not in ("embedding", "positions")
        if name.endswith(".bias") and len(sizes[name.removesuffix("bias") + "weight"]) == 2:
            continue  # comes before its matrix
        pieces = [("", 4 * size[0] * (size[1] if len(size) == 2 else 1))]
        if matrix:
            rows, columns = _up(size[0], TILE), _up(size[1], GROUP)
            pieces = [("scale", 4 * rows if weight_format == "int8" else 0), ("words", rows * columns * width_of)]
            bias = name.removesuffix("weight") + "bias"
            yield f"{bias}:bias", slice(at, at + _up(4 * rows, LINE))
            at += _up(4 * rows, LINE)
        for kind, count in pieces:
            if count:
                yield f"{name}:{kind}", slice(at, at + _up(count, LINE))
                at += _up(count, LINE)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _aligned(data: Tensor) -> Tensor:
    """As bytes, zeros up to the next line."""
    data = data.contiguous().view(-1).view(torch.uint8)
    return torch.nn.functional.pad(data, (0, _up(data.numel(), LINE) - data.numel()))


def _row_scales(matrix: Tensor) -> Tensor:
    return matrix.abs().amax(1).clamp(min=1e-30) / 127


def _encoded(value: Tensor, kind: str, weight_format: WeightFormat) -> Tensor:
    """One piece of the stream, not yet padded to a line."""
    if kind == "bias":
        return torch.nn.functional.pad(value, (0, _up(len(value), TILE) - len(value)))
    if kind == "scale":
        return torch.nn.functional.pad(_row_scales(value), (0, _up(len(value), TILE) - len(value)))
    if kind != "words":
        return value
    if weight_format == "int8":
        value = torch.round(value / _row_scales(value)[:, None]).clamp(-127, 127)
    rows, columns = value.shape
    value = torch.nn.functional.pad(value, (0, _up(columns, GROUP) - columns, 0, _up(rows, TILE) - rows))
    if weight_format == "int8":
        value = (value + 128).to(torch.uint8)
    elif weight_format == "bfloat16":
        value = value.bfloat16()
    word = 4 // value.element_size()
    return value.view(value.shape[0] // TILE, TILE, -1, word).transpose(1, 2)


def _matrix(data: Tensor, weight_format: WeightFormat, sizes: tuple[int, ...]) -> Tensor:
    """Undoes the tiling."""
    rows, columns = sizes
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.uint8}[weight_format]
    tiles = data.view(dtype).view(_up(rows, TILE) // TILE, -1, TILE, 4 // dtype.itemsize)
    value = tiles.transpose(1, 2).reshape(_up(rows, TILE), -1)[:rows, :columns].float()
    return value - 128 if weight_format == "int8" else value
