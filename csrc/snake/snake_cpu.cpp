// The anti-aliased snake on the CPU: sixteen channels and 32 rows at a time, all in the L1 cache.
#include "snake/snake.h"

#include "common/cpu.h"

#include <algorithm>

namespace voiceclone::snake {
namespace {

constexpr int kLanes = 16;
constexpr int64_t kRows = 32;
constexpr int kBefore = 5, kAfter = 6;  // doubled rows before and after 2 t that y[t] reads
constexpr int kReach = 6;               // rows of x on each side that those read, with one to spare

#define VOICECLONE_INLINE static inline __attribute__((always_inline))

// sin(v)^2: the sine of v less the nearest multiple of pi, whose sign does not matter. Absolute error below 2e-7 where
// |v| < 10^4; beyond 10^5 the multiple itself has no place in a float32.
VOICECLONE_INLINE float sine_squared(float v) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  const float turns = (v * 0.31830988618f + kRound) - kRound;
  // pi in parts of few bits, so that turns times a part is exact.
  float r = v - turns * 3.140625f;
  r -= turns * 9.67502593994140625e-4f;
  r -= turns * 1.509957990978376432e-7f;
  const float square = r * r;
  float sine = -2.3889859e-08f;
  sine = sine * square + 2.7525562e-06f;
  sine = sine * square + -1.9840874e-04f;
  sine = sine * square + 8.3333310e-03f;
  sine = sine * square + -1.6666667e-01f;
  sine = r + r * square * sine;
  return sine * sine;
}

VOICECLONE_INLINE void tile(const Problem& p, const float* x, float* y, int64_t first, int64_t rows, int64_t channel,
                            int lanes) {
  alignas(64) float in[kRows + 2 * kReach + 1][kLanes];
  alignas(64) float doubled[2 * kRows + kBefore + kAfter][kLanes];
  alignas(64) float alpha[kLanes] = {}, gain[kLanes] = {};
  const int64_t low = first - kReach, last = p.time - 1;
  for (int64_t row = 0; row < rows + 2 * kReach + 1; ++row) {
    const float* from = x + std::clamp<int64_t>(low + row, 0, last) * p.channels + channel;
    for (int c = 0; c < kLanes; ++c) in[row][c] = c < lanes ? from[c] : 0.0f;
  }
  for (int c = 0; c < lanes; ++c) alpha[c] = p.alpha[channel + c], gain[c] = p.gain[channel + c];
  const int64_t begin = 2 * first - kBefore, count = 2 * (rows - 1) + kBefore + kAfter + 1;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t n = std::clamp<int64_t>(begin + i, 0, 2 * last + 1);
    // The six rows j for which n + 5 - 2 j is a tap.
    const int64_t oldest = n % 2 == 0 ? n / 2 - 3 : n / 2 - 2;
    float sum[kLanes] = {};
    for (int k = 0; k < kTaps / 2; ++k) {
      const float weight = 2.0f * p.up[n + kBefore - 2 * (oldest + k)];
      const float* from = in[oldest + k - low];
      for (int c = 0; c < kLanes; ++c) sum[c] += weight * from[c];
    }
    for (int c = 0; c < kLanes; ++c) doubled[i][c] = sum[c] + gain[c] * sine_squared(alpha[c] * sum[c]);
  }
  for (int64_t row = 0; row < rows; ++row) {
    float sum[kLanes] = {};
    for (int k = 0; k < kTaps; ++k) {
      for (int c = 0; c < kLanes; ++c) sum[c] += p.down[k] * doubled[2 * row + k][c];
    }
    float* to = y + (first + row) * p.channels + channel;
    if (lanes == kLanes) {
      for (int c = 0; c < kLanes; ++c) to[c] = sum[c];
    } else {
      for (int c = 0; c < lanes; ++c) to[c] = sum[c];
    }
  }
}

VOICECLONE_INLINE void all(const Problem& p, int64_t sample, int64_t begin, int64_t end) {
  const float* x = p.x + sample * p.time * p.channels;
  float* y = p.y + sample * p.time * p.channels;
  for (int64_t first = begin; first < end; first += kRows) {
    const int64_t rows = std::min(kRows, end - first);
    for (int64_t channel = 0; channel < p.channels; channel += kLanes) {
      tile(p, x, y, first, rows, channel, static_cast<int>(std::min<int64_t>(kLanes, p.channels - channel)));
    }
  }
}

void run_plain(const Problem& p, int64_t sample, int64_t begin, int64_t end) { all(p, sample, begin, end); }
#if VOICECLONE_X86
VOICECLONE_AVX2 void run_avx2(const Problem& p, int64_t sample, int64_t begin, int64_t end) {
  all(p, sample, begin, end);
}
VOICECLONE_AVX512 void run_avx512(const Problem& p, int64_t sample, int64_t begin, int64_t end) {
  all(p, sample, begin, end);
}
#endif

}  // namespace

void run_cpu(const Problem& problem, int64_t sample, int64_t begin, int64_t end) {
#if VOICECLONE_X86
  const CpuLevel level = best_level();
  if (level == CpuLevel::avx512) return run_avx512(problem, sample, begin, end);
  if (level == CpuLevel::avx2) return run_avx2(problem, sample, begin, end);
#endif
  run_plain(problem, sample, begin, end);
}

}  // namespace voiceclone::snake
