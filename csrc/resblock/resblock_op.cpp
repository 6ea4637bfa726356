// The `resblock` op: checks tensors, allocates the result and calls the kernel of their device.
#include "resblock/resblock.h"

#include "layers_op.h"

#include <cstddef>
#include <utility>

namespace voiceclone {
namespace {

std::vector<std::vector<conv1d::Link>> chains(const std::vector<conv1d::Layer>& layers,
                                              const std::vector<int64_t>& depths, bool paired, int64_t channels) {
  std::vector<std::vector<conv1d::Link>> blocks;
  size_t next = 0;
  for (int64_t depth : depths) {
    check(depth > 0 && depth <= static_cast<int64_t>(layers.size() - next) && (!paired || depth % 2 == 0),
          "resblock: depths do not fit the ", layers.size(), " layers of the spec");
    std::vector<conv1d::Link> block;
    for (int64_t n = 0; n < depth; ++n) {
      const conv1d::Layer& layer = layers[next++];
      check(layer.in == conv1d::padded(channels) && layer.out == layer.in, "resblock: x has ", channels,
            " channels, a layer takes ", layer.in, " and makes ", layer.out);
      check(layer.left == (layer.taps - 1) / 2 * layer.dilation, "resblock: a layer does not keep the length");
      conv1d::Link link;
      link.layer = layer;
      link.residual = !paired ? n : n % 2 == 1 ? n - 1 : -1;
      block.push_back(link);
    }
    blocks.push_back(std::move(block));
  }
  check(!blocks.empty() && next == layers.size(), "resblock: depths do not fit the ", layers.size(), " layers");
  return blocks;
}

template <bool kCuda>
Tensor resblock_on(const Tensor& any, const Tensor& blob, std::vector<int64_t> spec, std::vector<int64_t> depths,
                   bool paired, double slope, int64_t start) {
  const Tensor x = signal("resblock", any);
  resblock::Problem problem{};
  problem.blocks = chains(parse_layers("resblock", x, blob, spec), depths, paired, x.size(2));
  Tensor y = rows_like(x, x.size(1), x.size(2));
  problem.x = x.const_data_ptr<float>();
  problem.y = y.mutable_data_ptr<float>();
  problem.batch = x.size(0);
  problem.time = x.size(1);
  problem.channels = x.size(2);
  problem.start = start;
  problem.slope = static_cast<float>(slope);
#ifdef VOICECLONE_CUDA
  if (kCuda) {
    const torch::stable::accelerator::DeviceGuard guard(x.get_device_index());
    Tensor workspace = rows_like(x, 2 * x.size(1), x.size(2));
    const char* error = resblock::run_cuda(problem, workspace.mutable_data_ptr<float>(),
                                           current_cuda_stream(x.get_device_index()));
    check(error == nullptr, "resblock: the CUDA kernel was not launched: ", error == nullptr ? "" : error);
    return y;
  }
#endif
  over_rows(problem.batch, problem.time, [&](int64_t sample, int64_t begin, int64_t end) {
    resblock::run_cpu(problem, sample, begin, end);
  });
  return y;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(voiceclone, CPU, m) { m.impl("resblock", TORCH_BOX(&resblock_on<false>)); }
#ifdef VOICECLONE_CUDA
STABLE_TORCH_LIBRARY_IMPL(voiceclone, CUDA, m) { m.impl("resblock", TORCH_BOX(&resblock_on<true>)); }
#endif

}  // namespace voiceclone
