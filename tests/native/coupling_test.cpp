// WaveNet and coupling on odd shapes, with buffers of exactly the size that they may touch.
#include "coupling/coupling.h"
#include "testing.h"

#include <algorithm>
#include <cmath>

namespace {

using namespace voiceclone;

// Aligned weights of one layer, all of one value, which any packing order holds.
struct Convolution {
  conv1d::Layer layer;
  std::vector<float> storage, bias;

  Convolution(int64_t in, int64_t out, int64_t taps, int64_t dilation) {
    layer.in = conv1d::padded(in);
    layer.out = conv1d::padded(out);
    layer.taps = taps;
    layer.dilation = dilation;
    layer.left = (taps - 1) / 2 * dilation;
    layer.block = taps >= 3 ? 4 : 1;
    storage.assign(static_cast<size_t>(layer.weight_bytes() / 4 + 16), 0.01f);
    bias.assign(static_cast<size_t>(layer.out), 0.1f);
  }

  conv1d::Layer get() {
    auto address = reinterpret_cast<uintptr_t>(storage.data());
    layer.weights = reinterpret_cast<const void*>((address + 63) / 64 * 64);
    layer.bias = bias.data();
    return layer;
  }
};

void run(int64_t channels, int64_t hidden, int64_t taps, int64_t count, int64_t rate, int64_t frames, bool reverse,
         bool mean_only) {
  testing::Random random(static_cast<uint64_t>(frames * 31 + hidden));
  std::vector<Convolution> made;
  const int64_t half = channels / 2, wide = conv1d::padded(hidden);
  made.emplace_back(half, hidden, 1, 1);
  int64_t dilation = 1;
  for (int64_t layer = 0; layer < count; ++layer, dilation *= rate) {
    made.emplace_back(hidden, 2 * wide, taps, dilation);
    if (layer + 1 < count) made.emplace_back(hidden, hidden, 1, 1);
    made.emplace_back(hidden, hidden, 1, 1);
  }
  made.emplace_back(hidden, (mean_only ? 1 : 2) * conv1d::padded(half), 1, 1);
  std::vector<conv1d::Layer> layers;
  for (Convolution& each : made) layers.push_back(each.get());
  const coupling::Stack stack{layers.data() + 1, count, hidden};

  const int64_t batch = 3;
  const std::vector<float> x = random.values(batch * frames * channels);
  const std::vector<float> condition = random.values(batch * frames * count * 2 * hidden);
  const std::vector<int32_t> lengths{static_cast<int32_t>(frames), 0, static_cast<int32_t>(frames / 2)};
  std::vector<float> y(x.size(), NAN), log_scale(static_cast<size_t>(batch * frames), NAN);
  coupling::Signal signal{};
  signal.x = x.data();
  signal.batch = batch, signal.frames = frames, signal.channels = channels;
  signal.batch_stride = frames * channels, signal.frame_stride = channels, signal.channel_stride = 1;
  signal.lengths = lengths.data();
  signal.condition = condition.data();
  signal.condition_frame_stride = count * 2 * hidden;
  signal.condition_batch_stride = frames * signal.condition_frame_stride;
  signal.y = y.data();
  const coupling::Coupling layer{&layers.front(), &layers.back(), mean_only, false, reverse, log_scale.data()};
  const int64_t step = coupling::segment_step(stack), cut = std::min(frames, 2 * step);
  for (int64_t sample = 0; sample < batch; ++sample) {
    coupling::coupling_cpu(stack, signal, layer, {sample, 0, cut});
    coupling::coupling_cpu(stack, signal, layer, {sample, cut, frames});
  }
  for (const float value : y) CHECK(std::isfinite(value));
  for (const float value : log_scale) CHECK(std::isfinite(value));

  std::vector<float> whole = random.values(batch * frames * hidden), out(whole.size(), NAN);
  signal.x = whole.data(), signal.y = out.data(), signal.channels = hidden;
  signal.batch_stride = frames * hidden, signal.frame_stride = hidden;
  signal.condition = nullptr;
  for (int64_t sample = 0; sample < batch; ++sample) coupling::wavenet_cpu(stack, signal, {sample, 0, frames});
  for (const float value : out) CHECK(std::isfinite(value));
}

}  // namespace

TEST(coupling) {
  for (const int64_t frames : {0, 1, 7, 200}) {
    run(20, 24, 5, 4, 1, frames, false, false);
    run(6, 7, 3, 3, 2, frames, true, false);
    run(34, 33, 1, 1, 1, frames, true, true);
    run(10, 16, 7, 2, 3, frames, false, true);
  }
}
