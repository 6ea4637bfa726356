"""A transformer decoder that writes tokens: its packed weights, a KV cache of slots, prefill and native steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from voiceclone.ops.attention import attention_decode
from voiceclone.ops.decode_step import DONE, END, LENGTH, POSITION, TOKEN, DecoderCache, DecoderRows, Steps, decode_step
from voiceclone.ops.pack import DecoderShape, PackedDecoder, WeightFormat, huge_pages, pack_decoder, unpack_decoder
from voiceclone.ops.sampling import Sampling, sampling_rows


class Decoder:
    """Owns what decoding needs; the caller owns the slots' numbers and the order of calls.

    One utterance lives in one slot: :meth:`prefill` puts the prompt there, :meth:`run` goes on for any choice of slots
    that were prefilled, each with its own :class:`voiceclone.ops.Sampling`. What a slot yields does not depend on the
    others. Calls must come from one thread at a time.
    """

    def __init__(
        self,
        shape: DecoderShape,
        weights: Mapping[str, Tensor],
        *,
        slots: int,
        capacity: int,
        weight_format: WeightFormat = "float32",
        cache_type: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        epsilon: float = 1e-5,
    ) -> None:
        """``weights`` as :meth:`DecoderShape.tensors` names them; ``capacity`` positions in each of ``slots``."""
        packed = pack_decoder(shape, weights, weight_format, epsilon=epsilon)
        # Prefill multiplies many rows: ordinary matrices, of the values that the packed ones stand for.
        wide = torch.float32 if weight_format == "float32" else torch.bfloat16
        self._dense = {
            name: value.to(device, wide if value.dim() == 2 and name.startswith("layers") else torch.float32)
            for name, value in unpack_decoder(packed).items()
        }
        self.packed: PackedDecoder = packed if str(device) == "cpu" else packed.to(device)
        self.cache = DecoderCache.empty(shape, slots, capacity, cache_type, device)
        for memory in self.cache[:2]:
            huge_pages(memory)
        self.state = torch.zeros(5, slots, dtype=torch.int32, device=device)
        self.state[DONE] = END
        self.hidden = torch.zeros(slots, shape.width, device=device)
        self.seen = torch.zeros(slots, shape.vocabulary, dtype=torch.bool, device=device)

    @property
    def shape(self) -> DecoderShape:
        return self.packed.shape

    @property
    def device(self) -> torch.device:
        return self.state.device

    def memory_bytes(self) -> int:
        tensors = (self.packed.weights, *self.cache, self.hidden, self.seen, *self._dense.values())
        return sum(tensor.nbytes for tensor in tensors)

    @torch.inference_mode()
    def prefill(
        self, slot: int, x: Tensor, *, prefix: int = 0, position: int = 0, seen: Tensor | None = None
    ) -> Tensor:
        """Begin an utterance in ``slot``: embedded inputs ``x`` ``[T, width]`` with their positions added, T >= 1.

        The first ``prefix`` inputs see one another, the rest is causal. The first drawn token will be fed at
        ``position`` of the positional table; ``seen`` are the tokens that the repetition penalty already falls on.
        Returns what each input became after the final norms ``[T, width]``; the last one predicts the first token.

        Raises ValueError where T inputs do not fit the slot.
        """
        inputs, capacity = x.shape[0], self.cache.keys.shape[3]
        if x.dim() != 2 or x.shape[1] != self.shape.width or not 1 <= inputs <= capacity:
            raise ValueError(f"x must be [1 to {capacity}, {self.shape.width}], got {list(x.shape)}")
        if not 0 <= slot < len(self.hidden):
            raise ValueError(f"slot must be 0 to {len(self.hidden) - 1}, got {slot}")
        numbers = {
            "pages": torch.full((1, 1), slot, dtype=torch.int32, device=self.device),
            "lengths": torch.zeros(1, dtype=torch.int32, device=self.device),
            "prefix": torch.full((1,), prefix, dtype=torch.int32, device=self.device),
        }
        x = x.to(self.device, torch.float32)
        for layer in range(self.shape.layers):
            x = self._layer(layer, x, numbers)
        for index in range(self.shape.final_norms):
            x = self._norm(f"final_norms.{index}", x)
        self.hidden[slot] = x[-1]
        self.seen[slot] = False
        if seen is not None:
            self.seen[slot, seen.long()] = True
        self.state[:, slot] = 0
        self.state[LENGTH, slot], self.state[POSITION, slot], self.state[TOKEN, slot] = inputs, position, -1
        return x

    @torch.inference_mode()
    def run(self, slots: Sequence[int], sampling: Sequence[Sampling], noise: Tensor) -> Steps:
        """Draw up to n tokens in each of ``slots``; ``noise`` ``[n, len(slots), ...]`` as :func:`decode_step` takes it.

        ``state[DONE, slot]`` afterwards says which rows go on (0) and why others ended.
        """
        if len(set(slots)) != len(slots) or len(sampling) != len(slots):
            raise ValueError(f"slots must be distinct, each with its sampling, got {list(slots)}, {len(sampling)}")
        where = torch.tensor(list(slots), dtype=torch.int64, device=self.device)
        rows = DecoderRows(self.state[:, where].contiguous(), self.hidden[where], self.seen[where], where.int()[:, None].contiguous())
        found = decode_step(self.packed, self.cache, rows, sampling_rows(sampling, self.device), noise)
        self.state[:, where], self.hidden[where], self.seen[where] = rows.state, rows.hidden, rows.seen
        return found

    @torch.inference_mode()
    def fork(self, source: int, slots: Sequence[int]) -> None:
        """Make ``slots`` go on from where ``source`` is (several takes of one prompt)."""
        for slot in slots:
            for tensor in self.cache:
                if tensor.numel():
                    tensor[:, slot] = tensor[:, source]
            self.state[:, slot] = self.state[:, source]
            self.hidden[slot], self.seen[slot] = self.hidden[source], self.seen[source]

    def _layer(self, layer: int, x: Tensor, numbers: dict[str, Tensor]) -> Tensor:
        """One layer over ``x`` ``[T, width]``, its keys and values stored."""
        name, pre = f"layers.{layer}.", self.shape.pre_norm
        qkv = self._linear(name + "qkv", self._norm(name + "norm1", x) if pre else x)
        query, key, value = qkv.view(1, len(x), 3, self.shape.heads, -1).unbind(2)
        context = attention_decode(query, key, value, self.cache.layer(layer), **numbers)  # type: ignore[arg-type]
        x = x + self._linear(name + "out", context.reshape(len(x), -1))
        x = x if pre else self._norm(name + "norm1", x)
        ffn = self._linear(name + "ffn_in", self._norm(name + "norm2", x) if pre else x)
        activation = self.shape.activation
        ffn = ffn.relu() if activation == "relu" else functional.gelu(
            ffn, approximate="tanh" if activation == "gelu_tanh" else "none"
        )  # fmt: skip
        x = x + self._linear(name + "ffn_out", ffn)
        return x if pre else self._norm(name + "norm2", x)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        weight = self._dense[f"{name}.weight"]
        return functional.linear(x.to(weight.dtype), weight).float() + self._dense[f"{name}.bias"]

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self._dense[f"{name}.weight"], self._dense[f"{name}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, self.packed.epsilon)
