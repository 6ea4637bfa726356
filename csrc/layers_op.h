// What the ops that take packed convolution layers share: checks of tensors and specs, and threads over rows.
#pragma once

#include "common/conv_chain.h"
#include "torch_stable.h"

#include <algorithm>
#include <vector>

namespace voiceclone {

// x as the kernels read it: contiguous float32 [B, T, C].
inline Tensor signal(const char* op, const Tensor& x) {
  check(x.dim() == 3, op, ": x must be [B, T, C], but has ", x.dim(), " dimensions");
  check(x.scalar_type() == ScalarType::Float, op, ": x must be float32");
  return x.is_contiguous() ? x : torch::stable::contiguous(x);
}

inline Tensor rows_like(const Tensor& x, int64_t time, int64_t channels) {
  const int64_t shape[] = {x.size(0), time, channels};
  return torch::stable::new_empty(x, {shape, 3});
}

inline std::vector<conv1d::Layer> parse_layers(const char* op, const Tensor& x, const Tensor& blob,
                                               const std::vector<int64_t>& spec) {
  check(blob.device() == x.device(), op, ": x and the packed weights must be on one device");
  check(blob.scalar_type() == ScalarType::Byte && blob.is_contiguous(), op, ": packed weights must be contiguous uint8");
  const auto* bytes = blob.const_data_ptr<uint8_t>();
  check(reinterpret_cast<uintptr_t>(bytes) % conv1d::kAlign == 0, op, ": packed weights must be aligned to 64 bytes");
  check(!spec.empty() && spec.size() % conv1d::kLayerFields == 0, op, ": a spec has ", conv1d::kLayerFields,
        " integers a layer, but this one has ", spec.size(), " in all");
  std::vector<conv1d::Layer> layers(spec.size() / conv1d::kLayerFields);
  for (size_t n = 0; n < layers.size(); ++n) {
    const char* error = conv1d::parse_layer(&spec[n * conv1d::kLayerFields], bytes, blob.numel(), &layers[n]);
    check(error == nullptr, op, ": layer ", n, " ", error == nullptr ? "" : error);
  }
  return layers;
}

// Runs function(sample, begin, end) over all rows, in pieces that are worth a thread of their own.
template <class Function>
void over_rows(int64_t batch, int64_t time, const Function& function) {
  constexpr int64_t kLeastRows = 2048;  // a piece computes some hundred rows of its neighbours again
  const auto threads = static_cast<int64_t>(torch::stable::get_num_threads());
  const int64_t wanted = threads > 1 && batch < threads ? (threads + batch - 1) / std::max<int64_t>(batch, 1) : 1;
  const int64_t pieces = std::max<int64_t>(1, std::min(wanted, time / kLeastRows));
  torch::stable::parallel_for(0, batch * pieces, 1, [&](int64_t first, int64_t last) {
    for (int64_t n = first; n < last; ++n) {
      const int64_t piece = n % pieces;
      function(n / pieces, time * piece / pieces, time * (piece + 1) / pieces);
    }
  });
}

}  // namespace voiceclone
