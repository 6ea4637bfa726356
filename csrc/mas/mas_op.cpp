// The `mas` op: checks tensors, allocates the results and calls the kernel of their device.
#include "mas/mas.h"
#include "torch_stable.h"

#include <algorithm>
#include <optional>
#include <tuple>

namespace voiceclone {
namespace {

using Result = std::tuple<Tensor, Tensor>;
using Lengths = std::optional<Tensor>;

// About half a millisecond of one core: less is not worth waking another thread for.
constexpr int64_t kCellsPerTask = int64_t{1} << 22;

// Rows or columns must be dense; a value with neither is copied.
Tensor dense(const Tensor& value) {
  check(value.dim() == 3, "mas: value must be [B, T_mel, T_text], but has ", value.dim(), " dimensions");
  check(value.scalar_type() == ScalarType::Float, "mas: value must be float32");
  const bool is_dense = value.numel() == 0 || value.stride(2) == 1 || value.stride(1) == 1;
  return is_dense ? value : torch::stable::contiguous(value);
}

mas::Problem problem(const Tensor& value, const Lengths& frames, const Lengths& tokens, const Result& result) {
  for (const auto& [name, lengths] : {std::pair{"frames", &frames}, std::pair{"tokens", &tokens}}) {
    if (!lengths->has_value()) continue;
    const Tensor& counts = **lengths;
    check(counts.dim() == 1 && counts.size(0) == value.size(0) && counts.is_contiguous() &&
              counts.scalar_type() == ScalarType::Int,
          "mas: ", name, " must be contiguous int32 of shape [", value.size(0), "]");
    check(counts.device() == value.device(), "mas: value and ", name, " must be on one device");
  }
  mas::Problem problem{};
  problem.value = value.const_data_ptr<float>();
  problem.batch = value.size(0);
  problem.frames = value.size(1);
  problem.tokens = value.size(2);
  problem.batch_stride = value.stride(0);
  problem.frame_stride = value.stride(1);
  problem.token_stride = value.stride(2);
  problem.frame_counts = frames ? frames->const_data_ptr<int32_t>() : nullptr;
  problem.token_counts = tokens ? tokens->const_data_ptr<int32_t>() : nullptr;
  problem.index = std::get<0>(result).mutable_data_ptr<int32_t>();
  problem.durations = std::get<1>(result).mutable_data_ptr<int32_t>();
  return problem;
}

Result allocate(const Tensor& value) {
  const int64_t index[] = {value.size(0), value.size(1)};
  const int64_t durations[] = {value.size(0), value.size(2)};
  return {torch::stable::new_empty(value, {index, 2}, ScalarType::Int),
          torch::stable::new_empty(value, {durations, 2}, ScalarType::Int)};
}

Result mas_cpu(const Tensor& any, const Lengths& frames, const Lengths& tokens) {
  const Tensor value = dense(any);
  Result result = allocate(value);
  const mas::Problem work = problem(value, frames, tokens, result);
  const int64_t cells = std::max<int64_t>(1, work.frames * work.tokens);
  torch::stable::parallel_for(0, work.batch, std::max<int64_t>(1, kCellsPerTask / cells),
                              [&](int64_t begin, int64_t end) { mas::align_cpu(work, begin, end); });
  return result;
}

#ifdef VOICECLONE_CUDA
Result mas_cuda(const Tensor& any, const Lengths& frames, const Lengths& tokens) {
  const torch::stable::accelerator::DeviceGuard guard(any.get_device_index());
  const Tensor value = dense(any);
  Result result = allocate(value);
  const mas::Problem work = problem(value, frames, tokens, result);
  const int64_t words[] = {mas::cuda_workspace_words(work)};
  Tensor workspace = torch::stable::new_empty(value, {words, 1}, ScalarType::Int);
  const char* error = mas::align_cuda(work, static_cast<uint32_t*>(workspace.mutable_data_ptr()),
                                      current_cuda_stream(any.get_device_index()));
  check(error == nullptr, "mas: the CUDA kernel was not launched: ", error == nullptr ? "" : error);
  return result;
}
#endif

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(voiceclone, CPU, m) { m.impl("mas", TORCH_BOX(&mas_cpu)); }
#ifdef VOICECLONE_CUDA
STABLE_TORCH_LIBRARY_IMPL(voiceclone, CUDA, m) { m.impl("mas", TORCH_BOX(&mas_cuda)); }
#endif

}  // namespace voiceclone
