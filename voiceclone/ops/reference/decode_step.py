"""Decode steps in plain torch: a machine that executes the list of phases of csrc/step/step.h one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from voiceclone.ops.pack import ACTIVATIONS, FORMATS, GROUP, DecoderShape, PackedDecoder, unpack_decoder
from voiceclone.ops.reference.attention import attention_decode
from voiceclone.ops.reference.sampling import draw

#: Lines of the state, and what the line DONE says.
LENGTH, POSITION, TOKEN, DONE, COUNT = range(5)
RUNNING, END, LIMIT, FULL, FAILED = range(5)


def decode_step(
    weights: Tensor,
    shape: list[int],
    epsilon: float,
    keys: Tensor,
    values: Tensor,
    key_scales: Tensor,
    value_scales: Tensor,
    pages: Tensor,
    shared: Tensor | None,
    state: Tensor,
    hidden: Tensor,
    seen: Tensor,
    settings: Tensor,
    rules: Tensor,
    noise: Tensor,
    tokens: Tensor,
    logprobs: Tensor,
    hiddens: Tensor,
    scratch: Tensor,
    stop_after: int,
) -> None:
    """Run n steps, or ``stop_after`` phases of the first; see :func:`voiceclone.ops.decode_step`."""
    numbers = shape[:7]
    activation, pre_norm, final_norms = shape[8:]
    described = DecoderShape(*numbers, ACTIVATIONS[activation], bool(pre_norm), final_norms)
    packed = PackedDecoder(described, FORMATS[shape[7]], weights, epsilon)
    machine = Machine(
        packed, _unpacked(packed), keys, values, key_scales, value_scales, pages, shared, state, hidden, seen, settings,
        rules, noise, tokens, logprobs, hiddens, scratch,
    )  # fmt: skip
    tokens.fill_(-1)
    logprobs.zero_()
    hiddens.zero_()
    for step in range(tokens.shape[1]):
        for index, (_, phase) in enumerate(machine.phases(step)):
            if step == 0 and index == stop_after:
                return
            phase()
        if not machine.running:
            return


_unpacked_last: list[tuple[Tensor, dict[str, Tensor]]] = []


def _unpacked(packed: PackedDecoder) -> dict[str, Tensor]:
    """The last stream's weights are kept: unpacking takes longer than a step."""
    if not _unpacked_last or _unpacked_last[0][0] is not packed.weights:
        _unpacked_last[:] = [(packed.weights, unpack_decoder(packed))]
    return _unpacked_last[0][1]


@dataclass(slots=True)
class Machine:
    """The tensors of one call; each phase is a method that reads and writes them as the kernels do."""

    packed: PackedDecoder
    weights: dict[str, Tensor]
    keys: Tensor
    values: Tensor
    key_scales: Tensor
    value_scales: Tensor
    pages: Tensor
    shared: Tensor | None
    state: Tensor
    hidden: Tensor
    seen: Tensor
    settings: Tensor
    rules: Tensor
    noise: Tensor
    tokens: Tensor
    logprobs: Tensor
    hiddens: Tensor
    scratch: Tensor
    #: Rows that are not done, and those of them that have a token to feed.
    running: tuple[int, ...] = ()
    fed: tuple[int, ...] = ()

    def phases(self, step: int) -> Iterator[tuple[str, Callable[[], None]]]:
        """Names and actions of one step, in order."""
        yield "embed", self.embed
        for layer in range(self.packed.shape.layers):
            for phase in (self.qkv, self.attention, self.out, self.ffn_in, self.ffn_out):
                yield f"{phase.__name__} {layer}", lambda phase=phase, layer=layer: phase(layer)  # type: ignore[misc]
        yield "final", self.final
        yield "head", self.head
        yield "sample", lambda: self.sample(step)

    def part(self, name: str) -> Tensor:
        """One part of every row's scratch."""
        width, hidden = self.packed.shape.width, self.packed.shape.hidden
        sizes = {"x": width, "qkv": 3 * width, "context": width, "ffn": hidden, "logits": self.packed.shape.vocabulary}
        begin = sum(size for other, size in sizes.items() if list(sizes).index(other) < list(sizes).index(name))
        return self.scratch[:, begin : begin + sizes[name]]

    def linear(self, name: str, x: Tensor) -> Tensor:
        x = rounded(x, self.packed.weight_format)
        return functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, self.packed.epsilon)

    def embed(self) -> None:
        running, fed = [], []
        size = self.keys.shape[3]
        for row, (length, position, token, done, _) in enumerate(self.state.T.tolist()):
            if done != RUNNING:
                continue
            if token >= 0:
                shared = 0 if self.shared is None else int(self.shared[row])
                capacity = shared + (self.pages.shape[1] - -(-shared // size)) * size
                known = token < self.packed.shape.inputs and min(length, position) >= 0
                if not known or length >= capacity or position >= self.packed.shape.positions:
                    self.state[DONE, row] = FULL if known else FAILED
                    continue
                self.part("x")[row] = self.weights["embedding"][token] + self.weights["positions"][position]
                fed.append(row)
            running.append(row)
        self.running, self.fed = tuple(running), tuple(fed)

    def qkv(self, layer: int) -> None:
        x = self.part("x")[list(self.fed)]
        if self.packed.shape.pre_norm:
            x = self.norm(f"layers.{layer}.norm1", x)
        self.part("qkv")[list(self.fed)] = self.linear(f"layers.{layer}.qkv", x)

    def attention(self, layer: int) -> None:
        fed, shape = list(self.fed), self.packed.shape
        qkv = self.part("qkv")[fed].view(len(fed), 1, 3, shape.heads, -1)
        context = torch.empty_like(qkv[:, :, 0])
        scales = [scale[layer] if scale.numel() else scale for scale in (self.key_scales, self.value_scales)]
        attention_decode(
            *qkv.unbind(2), self.keys[layer], self.values[layer], *scales, self.pages[fed], self.state[LENGTH, fed],
            None, None if self.shared is None else self.shared[fed], None, None, qkv.shape[-1] ** -0.5, context,
        )  # fmt: skip
        self.part("context")[fed] = context.flatten(1)

    def out(self, layer: int) -> None:
        self.residual(f"layers.{layer}.out", "context", f"layers.{layer}.norm1")

    def ffn_in(self, layer: int) -> None:
        x = self.part("x")[list(self.fed)]
        if self.packed.shape.pre_norm:
            x = self.norm(f"layers.{layer}.norm2", x)
        x = self.linear(f"layers.{layer}.ffn_in", x)
        name = self.packed.shape.activation
        x = x.relu() if name == "relu" else functional.gelu(x, approximate="tanh" if name == "gelu_tanh" else "none")
        self.part("ffn")[list(self.fed)] = x

    def ffn_out(self, layer: int) -> None:
        self.residual(f"layers.{layer}.ffn_out", "ffn", f"layers.{layer}.norm2")

    def residual(self, linear: str, part: str, norm: str) -> None:
        fed = list(self.fed)
        x = self.part("x")[fed] + self.linear(linear, self.part(part)[fed])
        self.part("x")[fed] = x if self.packed.shape.pre_norm else self.norm(norm, x)

    def final(self) -> None:
        x = self.part("x")[list(self.fed)]
        for index in range(self.packed.shape.final_norms):
            x = self.norm(f"final_norms.{index}", x)
        self.hidden[list(self.fed)] = x

    def head(self) -> None:
        self.part("logits")[list(self.running)] = self.linear("head", self.hidden[list(self.running)])

    def sample(self, step: int) -> None:
        for row in self.running:
            now = self.state[:, row]
            if now[TOKEN] >= 0:
                now[LENGTH] += 1
                now[POSITION] += 1
            logits, rules = self.part("logits")[row].clone(), self.rules[row]
            found = draw(logits, self.seen[row], self.settings[row], rules, int(now[COUNT]), self.noise[step, row])
            if found.token < 0:
                now[DONE] = FAILED
                continue
            self.tokens[row, step] = now[TOKEN] = found.token
            self.logprobs[row, step] = found.logprob
            self.hiddens[row, step] = self.hidden[row]
            self.seen[row, found.token] = True
            now[COUNT] += 1
            _, end, _, max_tokens, _, end_on_argmax = rules.tolist()
            if found.token == end or (end_on_argmax and found.best == end):
                now[DONE] = END
            elif 0 < max_tokens <= now[COUNT]:
                now[DONE] = LIMIT


def rounded(x: Tensor, weight_format: str) -> Tensor:
    """Activations as the format's products see them."""
    if weight_format == "float32":
        return x
    if weight_format == "bfloat16":
        return x.bfloat16().to(x.dtype)
    groups = functional.pad(x, (0, -x.shape[-1] % GROUP)).unflatten(-1, (-1, GROUP))
    most = groups.abs().amax(-1, keepdim=True)
    step = most / 127
    whole = torch.where(most > 0, torch.round(groups * (127 / most)), 0)
    return (whole * step).flatten(-2)[..., : x.shape[-1]]
