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
  // x [B, T, C]; layers of each block in depths; paired: each second layer adds the input of the one before; place holds
  // the number of row 0, and how many rows at each end are context only -> [B, T - context, C]
  m.def("resblock(Tensor x, Tensor blob, int[] spec, int[] depths, bool paired, float slope, int[] place) -> Tensor");
  // x [B, T, C], alpha and gain [C], filters [12] -> [B, T, C]
  m.def("snake(Tensor x, Tensor alpha, Tensor gain, Tensor up, Tensor down) -> Tensor");
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
