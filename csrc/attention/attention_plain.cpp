// The loops of attention for any processor.
#include "attention/kernels.h"
#include "attention/numbers.h"

#include <limits>

namespace voiceclone::attention {
namespace {

inline float read(float stored) { return stored; }
inline float read(int8_t stored) { return static_cast<float>(stored); }
struct Bfloat16 {
  uint16_t bits;
};
inline float read(Bfloat16 stored) { return from_bfloat16(stored.bits); }
struct Float16 {
  uint16_t bits;
};
inline float read(Float16 stored) { return from_float16(stored.bits); }
struct Float8 {
  uint8_t bits;
};
inline float read(Float8 stored) { return from_float8(stored.bits); }

constexpr int64_t kStep = kDimStep;

template <class Stored>
void scores(const float* query, const void* keys, int64_t count, int64_t dim, float* out, Ahead) {
  const auto* key = static_cast<const Stored*>(keys);
  for (int64_t i = 0; i < count; ++i, key += dim) {
    float part[kStep] = {};
    for (int64_t d = 0; d < dim; d += kStep) {
      for (int64_t lane = 0; lane < kStep; ++lane) part[lane] += query[d + lane] * read(key[d + lane]);
    }
    out[i] = ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
  }
}

template <class Stored>
void weigh(const float* weights, const void* values, int64_t count, int64_t dim, float* sum, Ahead) {
  const auto* value = static_cast<const Stored*>(values);
  for (int64_t i = 0; i < count; ++i, value += dim) {
    for (int64_t d = 0; d < dim; ++d) sum[d] += weights[i] * read(value[d]);
  }
}

float largest(const float* scores, int64_t count, float top) {
  for (int64_t i = 0; i < count; ++i) top = scores[i] > top ? scores[i] : top;
  return top;
}

float exponentials(float* scores, int64_t count, float top) {
  float sum = 0.0f;
  for (int64_t i = 0; i < count; ++i) sum += scores[i] = std::exp(scores[i] - top);
  return sum;
}

template <class Stored>
Kernels kernels() {
  return {scores<Stored>, weigh<Stored>, {largest, exponentials}};
}

}  // namespace

Kernels plain_kernels(Number number) {
  switch (number) {
    case Number::bfloat16: return kernels<Bfloat16>();
    case Number::float16: return kernels<Float16>();
    case Number::int8: return kernels<int8_t>();
    case Number::float8: return kernels<Float8>();
    default: return kernels<float>();
  }
}

}  // namespace voiceclone::attention
