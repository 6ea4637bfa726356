// The anti-aliased snake on a GPU: a thread makes eight rows of one channel, all sums in registers.
#include "snake/snake.h"

#include <cuda_runtime.h>

namespace voiceclone::snake {
namespace {

constexpr int kThreads = 128, kRows = 8, kBefore = 5;
constexpr int kDoubled = 2 * kRows + kTaps - 2;
constexpr int64_t kMostGrid = 65535;

__global__ void __launch_bounds__(kThreads) activate(Problem p) {
  const int64_t channel = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (channel >= p.channels) return;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kRows, last = p.time - 1;
  const float alpha = p.alpha[channel], gain = p.gain[channel];
  float up[kTaps], down[kTaps];
#pragma unroll
  for (int k = 0; k < kTaps; ++k) {
    up[k] = 2.0f * p.up[k];
    down[k] = p.down[k];
  }
  for (int64_t sample = blockIdx.z; sample < p.batch; sample += gridDim.z) {
    const float* x = p.x + sample * p.time * p.channels + channel;
    float* y = p.y + sample * p.time * p.channels + channel;
    float sums[kRows] = {};
    float previous = 0.0f;
#pragma unroll
    for (int i = 0; i < kDoubled; ++i) {
      const int64_t n = 2 * first - kBefore + i;
      float value = previous;  // past the end the last value repeats
      if (n <= 2 * last + 1 || i == 0) {
        const int64_t at = n < 0 ? 0 : n;
        const bool odd = at & 1;
        const int64_t oldest = odd ? at / 2 - 2 : at / 2 - 3;
        float sum = 0.0f;
#pragma unroll
        for (int k = 0; k < kTaps / 2; ++k) {
          int64_t j = oldest + k;
          j = j < 0 ? 0 : j > last ? last : j;
          // The oldest row has the highest tap: 10 for odd, 11 for even places.
          sum += (odd ? up[kTaps - 2 - 2 * k] : up[kTaps - 1 - 2 * k]) * x[j * p.channels];
        }
        const float sine = sinf(alpha * sum);
        value = sum + gain * sine * sine;
      }
      previous = value;
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const int k = i - 2 * r;
        if (k >= 0 && k < kTaps) sums[r] += value * down[k];
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (first + r <= last) y[(first + r) * p.channels] = sums[r];
    }
  }
}

}  // namespace

const char* run_cuda(const Problem& problem, void* stream) {
  if (problem.batch == 0 || problem.time == 0 || problem.channels == 0) return nullptr;
  const int64_t tiles = (problem.time + kRows - 1) / kRows, panels = (problem.channels + kThreads - 1) / kThreads;
  if (tiles > INT32_MAX || panels > kMostGrid) return "the signal is too large for one launch";
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(panels),
                  static_cast<unsigned>(problem.batch < kMostGrid ? problem.batch : kMostGrid));
  activate<<<grid, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(problem);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace voiceclone::snake
