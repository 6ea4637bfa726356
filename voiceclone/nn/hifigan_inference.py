"""HiFi-GAN's generator on packed weights: whole signals, or pieces of them with the bits of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voiceclone import ops
from voiceclone.nn.hifigan import END_TAPS, LAST_SLOPE, SLOPE, Generator, ResBlock1, ResBlock2, check_inputs
from voiceclone.ops.packing import DType, Range, fastest_block, input_range

#: Input ranges of a generator's convolutions by module name, for int8.
Ranges = dict[str, Range]


@dataclass(frozen=True, slots=True)
class Span:
    """Rows ``[begin, end)``."""

    begin: int
    end: int

    def within(self, length: int) -> Span:
        return Span(min(max(self.begin, 0), length), max(min(self.end, length), 0))


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a convolution looks, in the blocks that it computes at once."""

    taps: int
    dilation: int
    block: int

    def inputs(self, outputs: Span) -> Span:
        """Rows that reach into the bits of ``outputs``."""
        span, left = self.block * self.dilation, (self.taps - 1) // 2 * self.dilation
        first, last = outputs.begin // span, -(-outputs.end // span)
        pieces = -(-self.taps // self.block)
        return Span(span * first - left, span * (last + pieces - 2) + (2 * self.block - 1) * self.dilation - left)


@dataclass(frozen=True, slots=True)
class Stage:
    """One upsampling and its residual blocks."""

    up: ops.PackedUpsample
    blocks: ops.PackedResblock
    #: Reaches of each block's convolutions.
    reaches: list[list[Reach]]
    #: Least and greatest row, relative to output row / rate, that the upsampling reads.
    up_reach: tuple[int, int]

    def inputs(self, outputs: Span, length: int) -> Span:
        """Rows of the residual blocks' input, of ``length`` in all, that reach into ``outputs``."""
        begin, end = outputs.begin, outputs.end
        for chain in self.reaches:
            span = outputs
            for reach in reversed(chain):
                span = reach.inputs(span)
            begin, end = min(begin, span.begin), max(end, span.end)
        return Span(begin, end).within(length)


class PackedGenerator:
    """A generator for inference; ``dtype`` is the type of the products on a CPU, sums are float32.

    int8 needs ``ranges`` of :func:`calibrate`. On CUDA the plain form runs, on cuDNN's convolutions.
    """

    def __init__(self, generator: Generator, dtype: DType = "float32", ranges: Ranges | None = None) -> None:
        if dtype == "int8" and ranges is None:
            raise ValueError("int8 needs the ranges that calibrate() measures")
        self.config = config = generator.config
        self.dtype = dtype
        self.plain = generator.eval() if generator.conv_pre.weight.is_cuda else None
        if self.plain is not None:
            return
        names = {module: name for name, module in generator.named_modules()}

        def known(module: nn.Module) -> Range | None:
            return ranges[names[module]] if dtype == "int8" and ranges is not None else None

        # The ends are a hundredth of the work, and what they round is heard everywhere: never int8.
        ends: DType = "bfloat16" if dtype == "int8" else dtype
        self.pre = ops.pack_conv1d(generator.conv_pre.weight, generator.conv_pre.bias, dtype=ends, block=1)
        self.post = ops.pack_conv1d(generator.conv_post.weight, generator.conv_post.bias, dtype=ends, block=1)
        cond = generator.cond
        self.cond = None if cond is None else ops.pack_conv1d(cond.weight, cond.bias)
        self.stages: list[Stage] = []
        count = len(config.kernels)
        for n, (up, rate) in enumerate(zip(generator.ups, config.rates, strict=True)):
            chains = [convolutions(block) for block in list(generator.resblocks)[n * count : (n + 1) * count]]
            layers = [conv for chain in chains for conv in chain]
            packed = ops.pack_resblock(
                [[(conv.weight.detach(), detached(conv.bias), conv.dilation[0]) for conv in chain] for chain in chains],
                paired=config.resblock == "1",
                dtype=dtype,
                ranges=[input_range_of for conv in layers if (input_range_of := known(conv)) is not None] or None,
            )
            reaches = [[reach_of(conv, dtype) for conv in chain] for chain in chains]
            padding = up.padding[0]
            up_reach = (-((up.kernel_size[0] - 1 - padding) // rate), (rate - 1 + padding) // rate)
            upsample = ops.pack_upsample(up.weight, up.bias, rate, dtype=ends)
            self.stages.append(Stage(upsample, packed, reaches, up_reach))

    @torch.inference_mode()
    def __call__(self, frames: Tensor, speaker: Tensor | None = None) -> Tensor:
        """Frames ``[B, T, inputs]`` and speaker vectors ``[B, speaker]`` -> samples in -1..1 ``[B, T * hop]``."""
        return self.piece(frames, 0, frames.shape[1], speaker)

    @torch.inference_mode()
    def piece(self, frames: Tensor, begin: int, end: int, speaker: Tensor | None = None) -> Tensor:
        """Samples of frames ``[begin, end)`` of ``frames``: the bits that decoding all of them would give.

        Only as many frames on each side are looked at as reach into the piece (:meth:`needed`).
        """
        check_inputs(self.config, frames, speaker)
        length = frames.shape[1]
        if not 0 <= begin <= end <= length:
            raise ValueError(f"frames {begin} to {end} are not within 0 to {length}")
        if self.plain is not None:
            need = Span(begin - PLAIN_CONTEXT, end + PLAIN_CONTEXT).within(length)
            y: Tensor = self.plain(frames[:, need.begin : need.end], speaker)
            return y[:, (begin - need.begin) * self.config.hop : (end - need.begin) * self.config.hop]
        if begin == end:
            return frames.new_zeros(frames.shape[0], 0)
        outputs, inputs, need = self.plan(begin, end, length)
        at = need
        x = frames[:, at.begin : at.end].float().contiguous()
        x = cut(ops.conv1d(x, self.pre), at, outputs[0])
        at = outputs[0]
        if self.cond is not None and speaker is not None:
            x = x + ops.conv1d(speaker[:, None].float(), self.cond)
        for n, stage in enumerate(self.stages):
            rate = stage.up.rate
            x = ops.upsample(x, stage.up, slope=SLOPE)
            x = cut(x, Span(at.begin * rate, at.end * rate), inputs[n])
            at = outputs[n + 1]
            context = (at.begin - inputs[n].begin, inputs[n].end - at.end)
            x = ops.resblock(x, stage.blocks, slope=SLOPE, start=inputs[n].begin, context=context)
        hop = self.config.hop
        y = ops.conv1d(x, self.post, slope=LAST_SLOPE, tanh=True)
        return cut(y, at, Span(begin * hop, end * hop))[:, :, 0]

    def plan(self, begin: int, end: int, length: int) -> tuple[list[Span], list[Span], Span]:
        """Rows that each stage puts out (the first: before all stages), those it reads, and the frames needed."""
        hop, rates = self.config.hop, self.config.rates
        rows = length * hop
        at = Reach(END_TAPS, 1, 1).inputs(Span(begin * hop, end * hop)).within(rows)
        outputs, inputs = [at], []
        for stage, rate in zip(reversed(self.stages), reversed(rates), strict=True):
            read = stage.inputs(at, rows)
            inputs.append(read)
            rows //= rate
            least, most = stage.up_reach
            at = Span(read.begin // rate + least, -(-read.end // rate) + most).within(rows)
            outputs.append(at)
        frames = Reach(END_TAPS, 1, 1).inputs(at).within(length)
        return outputs[::-1], inputs[::-1], frames

    def needed(self, begin: int, end: int) -> tuple[int, int]:
        """The frames that reach into the samples of frames ``[begin, end)``; those below 0 do not exist."""
        far = 1 << 40  # any length: nothing is cut off at the end
        if self.plain is not None:
            return max(begin - PLAIN_CONTEXT, 0), end + PLAIN_CONTEXT
        need = self.plan(begin, end, far)[2]
        return need.begin, need.end

    def chunks(self, frames: Tensor, sizes: Iterable[int], speaker: Tensor | None = None) -> Iterator[Tensor]:
        """Samples ``[B, n * hop]`` of one chunk after another; ``sizes`` counts frames, the last one repeats."""
        begin, size = 0, 0
        remaining = iter(sizes)
        while begin < frames.shape[1]:
            size = next(remaining, size)
            if size < 1:
                raise ValueError(f"a chunk must have a frame or more, got {size}")
            end = min(begin + size, frames.shape[1])
            yield self.piece(frames, begin, end, speaker)
            begin = end


#: Frames on each side that the plain form looks at: more than any published generator reaches.
PLAIN_CONTEXT = 32


def cut(x: Tensor, have: Span, want: Span) -> Tensor:
    """Rows ``want`` of ``x``, whose rows are ``have``."""
    return x[:, want.begin - have.begin : want.end - have.begin].contiguous()


def detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()


def convolutions(block: nn.Module) -> list[nn.Conv1d]:
    """A residual block's convolutions in the order they run."""
    if isinstance(block, ResBlock1):
        pairs = zip(block.convs1, block.convs2, strict=True)
        return [conv for pair in pairs for conv in pair if isinstance(conv, nn.Conv1d)]
    assert isinstance(block, ResBlock2)
    return [conv for conv in block.convs if isinstance(conv, nn.Conv1d)]


def block_of(conv: nn.Conv1d, dtype: DType) -> int:
    return fastest_block(conv.kernel_size[0], conv.in_channels, dtype)


def reach_of(conv: nn.Conv1d, dtype: DType) -> Reach:
    return Reach(conv.kernel_size[0], conv.dilation[0], block_of(conv, dtype))


@torch.inference_mode()
def calibrate(generator: Generator, batches: Iterable[tuple[Tensor, Tensor | None]]) -> Ranges:
    """What the residual blocks' convolutions see while ``generator`` renders (frames, speaker) ``batches``."""
    ranges: Ranges = {}

    def watch(name: str, conv: nn.Conv1d) -> torch.utils.hooks.RemovableHandle:
        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen = input_range(inputs[0].transpose(1, 2).float(), conv.dilation[0], block_of(conv, "int8"))
            ranges[name] = ranges[name].merge(seen) if name in ranges else seen

        return conv.register_forward_pre_hook(look)

    handles = [
        watch(name, module)
        for name, module in generator.named_modules()
        if isinstance(module, nn.Conv1d) and name.startswith("resblocks.")
    ]
    try:
        for frames, speaker in batches:
            generator(frames, speaker)
    finally:
        for handle in handles:
            handle.remove()
    if not ranges:
        raise ValueError("calibration needs at least one batch")
    return ranges
