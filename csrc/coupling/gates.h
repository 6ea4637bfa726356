// What stands between a WaveNet's convolutions: gates and exponentials, on vectors of whatever width this processor has.
#pragma once

#include <cstdint>

namespace voiceclone::coupling {

struct Gates {
  // out[c] = tanh(a[c] + at[c]) * sigmoid(b[c] + bt[c]) for c below `channels`; at and bt may both be nullptr.
  void (*gate)(const float* a, const float* b, const float* at, const float* bt, float* out, int64_t channels);
  // values[c] = exp(values[c])
  void (*exponential)(float* values, int64_t count);
};

// For the level that common/cpu.h chose.
Gates best_gates();

}  // namespace voiceclone::coupling
