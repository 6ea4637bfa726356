// The `wavenet` and `coupling` ops: check tensors, unfold the packed layers, allocate and call the kernels of the device.
#include "coupling/coupling.h"
#include "layers_op.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

namespace voiceclone {
namespace {

using coupling::Coupling;
using coupling::Segment;
using coupling::Signal;
using coupling::Stack;
using Spec = std::vector<int64_t>;

// A segment's halo is computed twice, so it must be a small part of the segment.
constexpr int64_t kHalosPerSegment = 8;

std::vector<conv1d::Layer> layers_of(const char* op, const Tensor& x, const Tensor& blob, const Spec& spec) {
  check(x.dim() == 3 && x.scalar_type() == ScalarType::Float, op, ": x must be float32 [B, T, C]");
  std::vector<conv1d::Layer> layers = parse_layers(op, x, blob, spec);
  for (const conv1d::Layer& layer : layers) {
    check(layer.type != conv1d::Type::int8, op, ": int8 weights are not known");
  }
  return layers;
}

Stack stack_of(const char* op, const conv1d::Layer* layers, int64_t count, int64_t hidden) {
  check(count > 0 && (count + 1) % 3 == 0, op, ": a WaveNet has three convolutions a layer and two in the last");
  const Stack stack{layers, (count + 1) / 3, hidden};
  const int64_t padded = conv1d::padded(hidden);
  for (int64_t layer = 0; layer < stack.count; ++layer) {
    check(stack.in(layer).in == padded && stack.in(layer).out == 2 * padded && stack.res(layer).in == padded &&
              stack.res(layer).out == padded && stack.skip(layer).in == padded && stack.skip(layer).out == padded &&
              stack.res(layer).taps == 1 && stack.skip(layer).taps == 1 && stack.res(layer).block == 1 &&
              stack.skip(layer).block == 1,
          op, ": layer ", layer, " does not fit ", hidden, " channels");
  }
  return stack;
}

Signal signal_of(const char* op, const Tensor& x, const Tensor& lengths, const std::optional<Tensor>& condition,
                 const Stack& stack, Tensor& y) {
  check(lengths.dim() == 1 && lengths.size(0) == x.size(0) && lengths.is_contiguous() &&
            lengths.scalar_type() == ScalarType::Int && lengths.device() == x.device(),
        op, ": lengths must be contiguous int32 of shape [", x.size(0), "] beside x");
  Signal signal{};
  signal.x = x.const_data_ptr<float>();
  signal.batch = x.size(0), signal.frames = x.size(1), signal.channels = x.size(2);
  signal.batch_stride = x.stride(0), signal.frame_stride = x.stride(1), signal.channel_stride = x.stride(2);
  signal.lengths = lengths.const_data_ptr<int32_t>();
  signal.y = y.mutable_data_ptr<float>();
  if (condition.has_value()) {
    const int64_t width = stack.count * 2 * stack.hidden;
    check(condition->dim() == 3 && condition->size(0) == x.size(0) && condition->size(2) == width &&
              (condition->size(1) == 1 || condition->size(1) == x.size(1)) && condition->is_contiguous() &&
              condition->scalar_type() == ScalarType::Float && condition->device() == x.device(),
          op, ": condition must be contiguous float32 of shape [", x.size(0), ", 1 or ", x.size(1), ", ", width, "]");
    signal.condition = condition->const_data_ptr<float>();
    signal.condition_frame_stride = condition->size(1) == 1 ? 0 : width;
    signal.condition_batch_stride = condition->size(1) * width;
  }
  return signal;
}

// Each sample whole, or cut where threads would idle.
std::vector<Segment> segments_of(const Stack& stack, const Signal& signal) {
  const int64_t step = coupling::segment_step(stack);
  const int64_t threads = torch::stable::get_num_threads();
  const int64_t wanted = std::max<int64_t>(1, threads / std::max<int64_t>(1, signal.batch));
  const int64_t least = kHalosPerSegment * coupling::segment_halo(stack);
  const int64_t frames = std::max({least, (signal.frames + wanted - 1) / wanted, int64_t{1}});
  const int64_t length = (frames + step - 1) / step * step;
  std::vector<Segment> segments;
  for (int64_t sample = 0; sample < signal.batch; ++sample) {
    for (int64_t begin = 0; begin < signal.frames; begin += length) {
      segments.push_back({sample, begin, std::min(begin + length, signal.frames)});
    }
  }
  return segments;
}

Tensor wavenet_cpu(const Tensor& x, const Tensor& lengths, const std::optional<Tensor>& condition, const Tensor& blob,
                   const Spec& spec) {
  const std::vector<conv1d::Layer> layers = layers_of("wavenet", x, blob, spec);
  const Stack stack = stack_of("wavenet", layers.data(), static_cast<int64_t>(layers.size()), x.size(2));
  Tensor y = torch::stable::new_empty(x, x.sizes());
  const Signal signal = signal_of("wavenet", x, lengths, condition, stack, y);
  const std::vector<Segment> segments = segments_of(stack, signal);
  torch::stable::parallel_for(0, static_cast<int64_t>(segments.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) coupling::wavenet_cpu(stack, signal, segments[static_cast<size_t>(i)]);
  });
  return y;
}

// The parts of a coupling's spec: pre, the WaveNet, post.
Coupling coupling_of(const std::vector<conv1d::Layer>& layers, int64_t channels, int64_t hidden, bool mean_only,
                     bool swapped, bool reverse) {
  check(channels % 2 == 0, "coupling: x must have an even number of channels, but has ", channels);
  check(layers.size() >= 4, "coupling: spec must hold pre, a WaveNet and post");
  const conv1d::Layer& pre = layers.front();
  const conv1d::Layer& post = layers.back();
  const int64_t half = conv1d::padded(channels / 2), padded = conv1d::padded(hidden);
  check(pre.in == half && pre.out == padded && post.in == padded && post.out == (mean_only ? half : 2 * half) &&
            pre.taps == 1 && post.taps == 1 && pre.block == 1 && post.block == 1,
        "coupling: pre or post does not fit ", channels, " channels and ", hidden, " hidden ones");
  return {&pre, &post, mean_only, swapped, reverse, nullptr};
}

using Result = std::tuple<Tensor, Tensor>;

Result coupling_cpu(const Tensor& x, const Tensor& lengths, const std::optional<Tensor>& condition, const Tensor& blob,
                    const Spec& spec, int64_t hidden, bool mean_only, bool swapped, bool reverse) {
  const std::vector<conv1d::Layer> layers = layers_of("coupling", x, blob, spec);
  Coupling work = coupling_of(layers, x.size(2), hidden, mean_only, swapped, reverse);
  const Stack stack = stack_of("coupling", layers.data() + 1, static_cast<int64_t>(layers.size()) - 2, hidden);
  Tensor y = torch::stable::new_empty(x, x.sizes());
  const int64_t per_sample[] = {x.size(0)}, per_frame[] = {x.size(0), x.size(1)};
  Tensor logdet = torch::stable::new_empty(x, {per_sample, 1});
  Tensor log_scale = torch::stable::new_empty(x, {per_frame, 2});
  const Signal signal = signal_of("coupling", x, lengths, condition, stack, y);
  work.log_scale = log_scale.mutable_data_ptr<float>();
  const std::vector<Segment> segments = segments_of(stack, signal);
  torch::stable::parallel_for(0, static_cast<int64_t>(segments.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) coupling::coupling_cpu(stack, signal, work, segments[static_cast<size_t>(i)]);
  });
  for (int64_t sample = 0; sample < signal.batch; ++sample) {
    const float* frames = work.log_scale + sample * signal.frames;
    double total = 0.0;
    for (int64_t t = 0; t < signal.length(sample); ++t) total += frames[t];
    logdet.mutable_data_ptr<float>()[sample] = static_cast<float>(total);
  }
  return {y, logdet};
}

#ifdef VOICECLONE_CUDA
Tensor workspace_of(const Tensor& x, const Stack& stack, const Signal& signal) {
  const int64_t floats[] = {coupling::cuda_workspace_floats(stack, signal)};
  return torch::stable::new_empty(x, {floats, 1});
}

void check_launch(const char* op, const char* error) {
  check(error == nullptr, op, ": the CUDA kernel was not launched: ", error == nullptr ? "" : error);
}

Tensor wavenet_cuda(const Tensor& x, const Tensor& lengths, const std::optional<Tensor>& condition, const Tensor& blob,
                    const Spec& spec) {
  const std::vector<conv1d::Layer> layers = layers_of("wavenet", x, blob, spec);
  const Stack stack = stack_of("wavenet", layers.data(), static_cast<int64_t>(layers.size()), x.size(2));
  const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
  Tensor y = torch::stable::new_empty(x, x.sizes());
  const Signal signal = signal_of("wavenet", x, lengths, condition, stack, y);
  Tensor workspace = workspace_of(x, stack, signal);
  check_launch("wavenet", coupling::wavenet_cuda(stack, signal, workspace.mutable_data_ptr<float>(),
                                                 current_cuda_stream(x.get_device_index())));
  return y;
}

Result coupling_cuda(const Tensor& x, const Tensor& lengths, const std::optional<Tensor>& condition, const Tensor& blob,
                     const Spec& spec, int64_t hidden, bool mean_only, bool swapped, bool reverse) {
  const std::vector<conv1d::Layer> layers = layers_of("coupling", x, blob, spec);
  const Coupling work = coupling_of(layers, x.size(2), hidden, mean_only, swapped, reverse);
  const Stack stack = stack_of("coupling", layers.data() + 1, static_cast<int64_t>(layers.size()) - 2, hidden);
  const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
  Tensor y = torch::stable::new_empty(x, x.sizes());
  const int64_t per_sample[] = {x.size(0)};
  Tensor logdet = torch::stable::new_empty(x, {per_sample, 1});
  const Signal signal = signal_of("coupling", x, lengths, condition, stack, y);
  Tensor workspace = workspace_of(x, stack, signal);
  check_launch("coupling",
               coupling::coupling_cuda(stack, signal, work, workspace.mutable_data_ptr<float>(),
                                       logdet.mutable_data_ptr<float>(), current_cuda_stream(x.get_device_index())));
  return {y, logdet};
}
#endif

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(voiceclone, CPU, m) {
  m.impl("wavenet", TORCH_BOX(&wavenet_cpu));
  m.impl("coupling", TORCH_BOX(&coupling_cpu));
}
#ifdef VOICECLONE_CUDA
STABLE_TORCH_LIBRARY_IMPL(voiceclone, CUDA, m) {
  m.impl("wavenet", TORCH_BOX(&wavenet_cuda));
  m.impl("coupling", TORCH_BOX(&coupling_cuda));
}
#endif

}  // namespace voiceclone
