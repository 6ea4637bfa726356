// Every op of the library in one table. `Tensor(a!)` marks an argument that the op writes to.
#include "common/cpu.h"
#include "torch_stable.h"

#include <string>

STABLE_TORCH_LIBRARY(voiceclone, m) {
  // value [B, T_mel, T_text] float32 of any strides, frames [B] and tokens [B] int32
  // -> token of each frame [B, T_mel] int32 (-1 past the end), frames of each token [B, T_text] int32
  m.def("mas(Tensor value, Tensor frames, Tensor tokens) -> (Tensor, Tensor)");
  // x [B, T, in] float32; blob and spec as voiceclone/ops/packing.py makes them; row 0 is number `start` of its signal
  // -> [B, T, outputs]
  m.def("conv1d(Tensor x, Tensor blob, int[] spec, int outputs, float slope, int start, bool tanh) -> Tensor");
  // -> [B, T * rate, outputs]
  m.def("upsample(Tensor x, Tensor blob, int[] spec, int rate, int outputs, float slope) -> Tensor");
  // x [B, T, C]; layers of each block in depths; paired: each second layer adds the input of the one before -> [B, T, C]
  m.def("resblock(Tensor x, Tensor blob, int[] spec, int[] depths, bool paired, float slope, int start) -> Tensor");
  // x [B, T, H] float32 of any strides, lengths [B] int32, condition [B, 1 or T, layers * 2 * H] float32 or none, weights
  // as voiceclone/ops/pack.py lays them out -> [B, T, H], zeros past the end
  m.def("wavenet(Tensor x, Tensor lengths, Tensor? condition, Tensor blob, int[] spec) -> Tensor");
  // x [B, T, C] likewise; `swapped` changes the first half of the channels instead of the second
  // -> [B, T, C] and the log determinant [B] of the direction taken
  m.def("coupling(Tensor x, Tensor lengths, Tensor? condition, Tensor blob, int[] spec, int hidden, bool mean_only, bool swapped, bool reverse) -> (Tensor, Tensor)");
  // Stores key and value [B, T, heads, D] in a cache [pages, heads, page_size, D], then out = attention of query
  // [B, T, H, D] over all that each row holds; attention/attention.h says where positions stand and who sees what
  m.def(
      "attention_decode(Tensor query, Tensor key, Tensor value, Tensor(a!) keys, Tensor(b!) values, "
      "Tensor(c!) key_scales, Tensor(d!) value_scales, Tensor pages, Tensor lengths, Tensor? counts, Tensor? shared, "
      "Tensor? prefix, Tensor? mask, float scale, Tensor(e!) out) -> ()");
  // n tokens of a decoder for B rows, n and B by the shape of `tokens`; step/step.h says what a step is and what the
  // columns of state, settings and rules are, step/layout.h how weights [bytes] uint8 are packed and `shape` counted
  m.def(
      "decode_step(Tensor weights, int[] shape, float epsilon, Tensor(a!) keys, Tensor(b!) values, "
      "Tensor(c!) key_scales, Tensor(d!) value_scales, Tensor pages, Tensor? shared, Tensor(e!) state, "
      "Tensor(f!) hidden, Tensor(g!) seen, Tensor settings, Tensor rules, Tensor noise, Tensor(h!) tokens, "
      "Tensor(i!) logprobs, Tensor(j!) hiddens, Tensor(k!) scratch, int stop_after) -> ()");
  m.def("cpu_level() -> str");
  m.def("has_cuda_stream() -> bool");
}

namespace voiceclone {

std::string cpu_level() { return level_name(best_level()); }

}  // namespace voiceclone

STABLE_TORCH_LIBRARY_IMPL(voiceclone, CompositeExplicitAutograd, m) {
  m.impl("cpu_level", TORCH_BOX(&voiceclone::cpu_level));
  m.impl("has_cuda_stream", TORCH_BOX(&voiceclone::has_cuda_stream));
}
