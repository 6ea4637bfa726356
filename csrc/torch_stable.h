// The only door to torch: the stable ABI's headers, short names for them, readable checks, the current CUDA stream.
#pragma once

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <cstdint>
#include <sstream>
#include <stdexcept>

// Lives in libtorch_cuda, which a CPU-only torch lacks: weak, so that this file loads beside every torch.
extern "C" __attribute__((weak)) int32_t aoti_torch_get_current_cuda_stream(int32_t device, void** stream);

namespace voiceclone {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Throws with the parts of `message` joined; unlike torch's own check it names no source file.
template <class... Parts>
inline void check(bool condition, const Parts&... message) {
  if (condition) return;
  std::ostringstream text;
  (text << ... << message);
  throw std::runtime_error(text.str());
}

inline bool has_cuda_stream() { return aoti_torch_get_current_cuda_stream != nullptr; }

inline void* current_cuda_stream(int32_t device) {
  check(has_cuda_stream(), "this torch has no CUDA, but a CUDA kernel was called");
  void* stream = nullptr;
  check(aoti_torch_get_current_cuda_stream(device, &stream) == 0, "torch gave no current CUDA stream");
  return stream;
}

}  // namespace voiceclone
