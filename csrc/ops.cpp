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
