"""HiFi-GAN generators of published sizes, whole: against ONNX Runtime, torch eager and torch.compile, one thread."""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.kernels.timer import Absent, Call, Row, Timer, Work
from voiceclone.nn.hifigan import Generator, GeneratorConfig
from voiceclone.nn.hifigan_inference import PackedGenerator, calibrate
from voiceclone.ops.packing import DTYPES

#: Name, shape, samples a second.
SHAPES = (
    ("LJSpeech", GeneratorConfig(), 22050),
    ("SoVITS v2", GeneratorConfig(192, 512, (10, 8, 2, 2, 2), (16, 16, 8, 2, 2), speaker=512), 32000),
)
FRAMES = 100
ONNX, EAGER, COMPILED = "ONNX Runtime", "torch eager", "torch.compile"
#: Ratios asked for, one thread.
BARS = {"float32": {ONNX: 1.15}, "bfloat16": {ONNX: 2.5}, "int8": {ONNX: 4.0}}
#: On a GPU cuDNN does the convolutions, so there is nothing of ours to measure.
DEVICES = ("cpu",)


def rows(timer: Timer) -> Iterator[Row]:
    if timer.device not in DEVICES:
        return
    for name, config, rate in SHAPES:
        case = f"{name} generator, {FRAMES} frames"
        if not timer.wants("hifigan", case) or (timer.quick and name != "LJSpeech"):
            continue
        with torch.inference_mode():
            yield from measured(timer, case, config, rate)


def measured(timer: Timer, case: str, config: GeneratorConfig, rate: int) -> Iterator[Row]:
    torch.manual_seed(0)
    generator = sounding(config)
    inputs = [torch.randn(1, FRAMES, config.inputs)]
    if config.speaker:
        inputs.append(torch.randn(1, config.speaker) * 0.1)
    speaker = inputs[1] if config.speaker else None
    wanted = generator(*inputs)
    ranges = calibrate(generator, [(torch.randn(1, FRAMES, config.inputs), speaker) for _ in range(2)])
    packed = {dtype: PackedGenerator(generator, dtype, ranges) for dtype in DTYPES}
    ours: dict[str, Call] = {dtype: lambda form=form: form(*inputs) for dtype, form in packed.items()}  # type: ignore[misc]
    seconds = FRAMES * config.hop / rate
    notes = {dtype: {"snr_db": decibels(call(), wanted), "audio_seconds": seconds} for dtype, call in ours.items()}
    peers = {ONNX: onnx_runtime(generator, inputs), EAGER: lambda: generator(*inputs)}
    if not timer.quick:
        compiled = torch.compile(generator)
        compiled(*inputs)
        peers[COMPILED] = lambda: compiled(*inputs)
    yield from timer.compare("hifigan", case, ours, peers, work=Work(flops=operations(config)), bars=BARS, notes=notes)


def sounding(config: GeneratorConfig) -> Generator:
    """Random weights that keep a signal's size from layer to layer, as trained ones do."""
    generator = Generator(config).eval()
    for name, module in generator.named_modules():
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
            fan = module.in_channels * module.kernel_size[0] / module.stride[0]
            nn.init.normal_(module.weight, 0.0, (0.45 if name.startswith("resblocks") else 1.3) / fan**0.5)
    nn.init.normal_(generator.conv_post.weight, 0.0, 0.03)
    return generator


def operations(config: GeneratorConfig) -> int:
    """Multiplications and additions of the residual blocks, which are all but a hundredth of the work."""
    total, rows = 0, FRAMES
    for stage, rate in enumerate(config.rates):
        rows *= rate
        convolutions = (2 if config.resblock == "1" else 1) * sum(
            kernel * len(dilations) for kernel, dilations in zip(config.kernels, config.dilations, strict=True)
        )
        total += 2 * rows * convolutions * config.stage_channels(stage) ** 2
    return total


def decibels(got: object, wanted: Tensor) -> float:
    assert isinstance(got, Tensor)
    noise = (got.double() - wanted.double()).square().sum()
    return float(10 * torch.log10(wanted.double().square().sum() / noise.clamp(min=1e-30)))


def onnx_runtime(generator: Generator, inputs: list[Tensor]) -> Call | Absent:
    """The plain generator exported and run with one thread."""
    try:
        runtime: Any = importlib.import_module("onnxruntime")
        importlib.import_module("onnx")
    except ImportError as error:
        return Absent(str(error))
    file = io.BytesIO()
    names = ["frames", "speaker"][: len(inputs)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(generator, tuple(inputs), file, input_names=names, dynamo=False)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    feed = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
    return lambda: session.run(None, feed)
