// BigVGAN's anti-aliased snake on raw pointers: twice the rate, x + gain * sin(alpha x)^2, back to the rate; one pass.
//
//   s[n] = snake(2 * sum over j of x[clamp(j)] * up[n + 5 - 2 j]),  n in 0 .. 2 T - 1, taps 0 .. 11
//   y[t] = sum over k of s[clamp(2 t + k - 5)] * down[k]
#pragma once

#include <cstdint>

namespace voiceclone::snake {

constexpr int kTaps = 12;

struct Problem {
  const float* x;  // [batch, time, channels] contiguous
  float* y;        // the same shape
  int64_t batch, time, channels;
  const float* alpha;  // [channels]
  const float* gain;   // [channels]: 1 / beta
  const float* up;     // [kTaps]
  const float* down;   // [kTaps]
};

// Rows [begin, end) of sample `sample`.
void run_cpu(const Problem& problem, int64_t sample, int64_t begin, int64_t end);

// Enqueues on `stream`; returns an error's text, or nullptr.
const char* run_cuda(const Problem& problem, void* stream);

}  // namespace voiceclone::snake
