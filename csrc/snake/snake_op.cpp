// The `snake` op: checks tensors, allocates the result and calls the kernel of their device.
#include "snake/snake.h"

#include "layers_op.h"

#include <utility>

namespace voiceclone {
namespace {

template <bool kCuda>
Tensor snake_on(const Tensor& any, const Tensor& alpha, const Tensor& gain, const Tensor& up, const Tensor& down) {
  const Tensor x = signal("snake", any);
  const std::pair<const Tensor*, int64_t> vectors[] = {
      {&alpha, x.size(2)}, {&gain, x.size(2)}, {&up, snake::kTaps}, {&down, snake::kTaps}};
  for (const auto& [vector, length] : vectors) {
    check(vector->dim() == 1 && vector->size(0) == length && vector->is_contiguous() &&
              vector->scalar_type() == ScalarType::Float && vector->device() == x.device(),
          "snake: alpha, gain [", x.size(2), "] and both filters [", snake::kTaps,
          "] must be contiguous float32 on x's device");
  }
  Tensor y = rows_like(x, x.size(1), x.size(2));
  snake::Problem problem{};
  problem.x = x.const_data_ptr<float>();
  problem.y = y.mutable_data_ptr<float>();
  problem.batch = x.size(0);
  problem.time = x.size(1);
  problem.channels = x.size(2);
  problem.alpha = alpha.const_data_ptr<float>();
  problem.gain = gain.const_data_ptr<float>();
  problem.up = up.const_data_ptr<float>();
  problem.down = down.const_data_ptr<float>();
#ifdef VOICECLONE_CUDA
  if (kCuda) {
    const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
    const char* error = snake::run_cuda(problem, current_cuda_stream(x.get_device_index()));
    check(error == nullptr, "snake: the CUDA kernel was not launched: ", error == nullptr ? "" : error);
    return y;
  }
#endif
  over_rows(problem.batch, problem.time, [&](int64_t sample, int64_t begin, int64_t end) {
    snake::run_cpu(problem, sample, begin, end);
  });
  return y;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(voiceclone, CPU, m) { m.impl("snake", TORCH_BOX(&snake_on<false>)); }
#ifdef VOICECLONE_CUDA
STABLE_TORCH_LIBRARY_IMPL(voiceclone, CUDA, m) { m.impl("snake", TORCH_BOX(&snake_on<true>)); }
#endif

}  // namespace voiceclone
