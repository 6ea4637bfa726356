// The `conv1d` and `upsample` ops: check tensors, allocate the result and call the kernel of their device.
#include "conv1d/conv1d.h"
#include "layers_op.h"

namespace voiceclone {
namespace {

conv1d::Problem problem(const char* op, const Tensor& x, const Tensor& blob, const std::vector<int64_t>& spec,
                        int64_t outputs, double slope) {
  const std::vector<conv1d::Layer> layers = parse_layers(op, x, blob, spec);
  check(layers.size() == 1, op, ": the spec must describe one layer, but describes ", layers.size());
  const conv1d::Layer& layer = layers[0];
  check(layer.in == conv1d::padded(x.size(2)), op, ": x has ", x.size(2), " channels, the weights take ", layer.in);
  check(outputs > 0 && layer.out == conv1d::padded(outputs), op, ": the weights do not make ", outputs, " channels");
  conv1d::Problem problem{};
  problem.x = x.const_data_ptr<float>();
  problem.batch = x.size(0);
  problem.time = x.size(1);
  problem.channels = x.size(2);
  problem.outputs = outputs;
  problem.slope = static_cast<float>(slope);
  problem.link.layer = layer;
  return problem;
}

void run_on_cpu(const conv1d::Problem& problem) {
  over_rows(problem.batch, problem.time, [&](int64_t sample, int64_t begin, int64_t end) {
    conv1d::run_cpu(problem, sample, begin, end);
  });
}

#ifdef VOICECLONE_CUDA
void run_on_cuda(const char* op, const conv1d::Problem& problem, int32_t device) {
  const char* error = conv1d::run_cuda(problem, current_cuda_stream(device));
  check(error == nullptr, op, ": the CUDA kernel was not launched: ", error == nullptr ? "" : error);
}
#endif

template <bool kCuda>
Tensor conv1d_on(const Tensor& any, const Tensor& blob, std::vector<int64_t> spec, int64_t outputs, double slope,
                 int64_t start, bool tanh) {
  const Tensor x = signal("conv1d", any);
  conv1d::Problem work = problem("conv1d", x, blob, spec, outputs, slope);
  Tensor y = rows_like(x, work.time, outputs);
  work.y = y.mutable_data_ptr<float>();
  work.start = start;
  work.tanh = tanh;
#ifdef VOICECLONE_CUDA
  if (kCuda) {
    const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
    run_on_cuda("conv1d", work, x.get_device_index());
    return y;
  }
#endif
  run_on_cpu(work);
  return y;
}

template <bool kCuda>
Tensor upsample_on(const Tensor& any, const Tensor& blob, std::vector<int64_t> spec, int64_t rate, int64_t outputs,
                   double slope) {
  check(rate > 0 && outputs > 0, "upsample: rate and outputs must be positive");
  const Tensor x = signal("upsample", any);
  conv1d::Problem work = problem("upsample", x, blob, spec, rate * outputs, slope);
  Tensor y = rows_like(x, work.time * rate, outputs);
  work.y = y.mutable_data_ptr<float>();
#ifdef VOICECLONE_CUDA
  if (kCuda) {
    const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
    run_on_cuda("upsample", work, x.get_device_index());
    return y;
  }
#endif
  run_on_cpu(work);
  return y;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(voiceclone, CPU, m) {
  m.impl("conv1d", TORCH_BOX(&conv1d_on<false>));
  m.impl("upsample", TORCH_BOX(&upsample_on<false>));
}
#ifdef VOICECLONE_CUDA
STABLE_TORCH_LIBRARY_IMPL(voiceclone, CUDA, m) {
  m.impl("conv1d", TORCH_BOX(&conv1d_on<true>));
  m.impl("upsample", TORCH_BOX(&upsample_on<true>));
}
#endif

}  // namespace voiceclone
