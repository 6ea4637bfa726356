// Norms, activations and rounding, sixteen values at a time: the same lines compiled for each CPU level.
#include "step/pointwise.h"

#include "common/cpu.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace voiceclone::step {
namespace {

constexpr int64_t kLanes = 16;
typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint16_t Shorts __attribute__((vector_size(32)));
typedef int8_t Bytes __attribute__((vector_size(16)));

// Bodies are inlined into one function a level; values go by reference, as their registers differ between levels.
#define STEP_BODY __attribute__((always_inline)) inline

STEP_BODY void load(Floats& out, const float* from) { std::memcpy(&out, from, sizeof out); }

// The last lanes of a row, with `fill` where it has ended.
STEP_BODY void load_some(Floats& out, const float* from, int64_t count, float fill) {
  float lanes[kLanes];
  for (int64_t i = 0; i < kLanes; ++i) lanes[i] = i < count ? from[i] : fill;
  std::memcpy(&out, lanes, sizeof out);
}

STEP_BODY void load_up_to(Floats& out, const float* from, int64_t count, float fill) {
  if (count >= kLanes) {
    load(out, from);
  } else {
    load_some(out, from, count, fill);
  }
}

STEP_BODY void store_up_to(float* to, const Floats& value, int64_t count) {
  std::memcpy(to, &value, static_cast<size_t>(std::min(count, kLanes)) * sizeof(float));
}

STEP_BODY float sum_of(const Floats& value) {
  float lanes[kLanes];
  std::memcpy(lanes, &value, sizeof lanes);
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

STEP_BODY void layer_norm_body(const float* x, const float* weight, const float* bias, int64_t count, float epsilon,
                               float* out) {
  Floats sum = {}, part, scale, shift;
  for (int64_t i = 0; i < count; i += kLanes) {
    load_up_to(part, x + i, count - i, 0);
    sum += part;
  }
  const float mean = sum_of(sum) / static_cast<float>(count);
  sum = Floats{};
  for (int64_t i = 0; i < count; i += kLanes) {
    load_up_to(part, x + i, count - i, mean);
    part -= mean;
    sum += part * part;
  }
  const float inverse = 1.0f / std::sqrt(sum_of(sum) / static_cast<float>(count) + epsilon);
  for (int64_t i = 0; i < count; i += kLanes) {
    load_up_to(part, x + i, count - i, 0);
    load_up_to(scale, weight + i, count - i, 0);
    load_up_to(shift, bias + i, count - i, 0);
    part = (part - mean) * inverse * scale + shift;
    store_up_to(out + i, part, count - i);
  }
}

// e^x for x <= 88, by the polynomial of e^r on |r| <= ln(2) / 2; 0 below -87, NaN stays NaN.
STEP_BODY void exponential(Floats& x) {
  const Floats magic = Floats{} + 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  const Ints dead = x < -87.0f, nan = x != x;
  const Floats kept = x;
  const Floats shifted = x * 1.44269504088896341f + magic;
  const Floats whole = shifted - magic;
  const Floats r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
  Floats y = Floats{} + 1.9875691500e-4f;
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * r * r + r + 1.0f;
  Ints bits, exponent;
  std::memcpy(&bits, &y, sizeof bits);
  std::memcpy(&exponent, &shifted, sizeof exponent);
  bits += (exponent - 0x4b400000) << 23;
  std::memcpy(&y, &bits, sizeof y);
  x = dead ? Floats{} : y;
  x = nan ? kept : x;
}

STEP_BODY void exponentials_body(float* x, int64_t count, float top) {
  Floats part;
  for (int64_t i = 0; i < count; i += kLanes) {
    load_up_to(part, x + i, count - i, top);
    part -= top;
    exponential(part);
    store_up_to(x + i, part, count - i);
  }
}

STEP_BODY void gelu(Floats& x) {
  // erf(z) by Abramowitz and Stegun 7.1.26 for z >= 0, mirrored.
  const Floats z = (x < 0.0f ? -x : x) * 0.70710678118654752f;
  const Floats t = 1.0f / (z * 0.3275911f + 1.0f);
  Floats tail = -z * z;
  tail = tail < -80.0f ? Floats{} - 80.0f : tail;
  exponential(tail);
  tail *= t * (t * (t * (t * (t * 1.061405429f - 1.453152027f) + 1.421413741f) - 0.284496736f) + 0.254829592f);
  x = x < 0.0f ? x * 0.5f * tail : x * (1.0f - 0.5f * tail);
}

STEP_BODY void gelu_tanh(Floats& x) {
  // 0.5 x (1 + tanh(u)) = x / (1 + exp(-2u))
  Floats u = (x + x * x * x * 0.044715f) * -1.5957691216057308f;
  u = u > 80.0f ? Floats{} + 80.0f : u;
  exponential(u);
  x = x / (u + 1.0f);
}

STEP_BODY void activate_body(Activation activation, float* x, int64_t count) {
  Floats part;
  for (int64_t i = 0; i < count; i += kLanes) {
    load_up_to(part, x + i, count - i, 0);
    if (activation == Activation::relu) {
      part = part < 0.0f ? Floats{} : part;
    } else if (activation == Activation::gelu) {
      gelu(part);
    } else {
      gelu_tanh(part);
    }
    store_up_to(x + i, part, count - i);
  }
}

// To the nearest, ties to even; NaN stays NaN.
STEP_BODY void round_to_bfloat16(const float* x, int64_t inputs, int64_t padded, uint16_t* out) {
  Floats part;
  Ints bits;
  for (int64_t i = 0; i < padded; i += kLanes) {
    load_up_to(part, x + i, std::max<int64_t>(0, inputs - i), 0);
    std::memcpy(&bits, &part, sizeof bits);
    const Ints rounded = bits + 0x7fff + ((bits >> 16) & 1);
    bits = part != part ? bits | 0x400000 : rounded;
    const Shorts high = __builtin_convertvector(bits >> 16, Shorts);
    std::memcpy(out + i, &high, sizeof high);
  }
}

// Groups of int8; one that holds NaN or infinity gets the scale NaN, so that it cannot pass unseen.
STEP_BODY void round_to_int8(const float* x, int64_t inputs, int64_t padded, int8_t* out, float* scales, int32_t* sums) {
  for (int64_t group = 0; group < padded / kGroup; ++group) {
    Floats part, most = {};
    Ints wild = {};
    const float* from = x + group * kGroup;
    const int64_t count = inputs - group * kGroup;
    for (int64_t i = 0; i < kGroup; i += kLanes) {
      load_up_to(part, from + i, std::max<int64_t>(0, count - i), 0);
      part = part < 0.0f ? -part : part;
      most = part > most ? part : most;
      wild |= !(part <= 3.4e38f);
    }
    float top = 0;
    int32_t bad = 0;
    for (int64_t i = 0; i < kLanes; ++i) {
      top = std::max(top, most[i]);
      bad |= wild[i];
    }
    const float inverse = top > 0 && bad == 0 ? 127.0f / top : 0;
    Ints total = {}, bits;
    for (int64_t i = 0; i < kGroup; i += kLanes) {
      load_up_to(part, from + i, std::max<int64_t>(0, count - i), 0);
      part = part * inverse + 12582912.0f;  // leaves the nearest whole number in the low bits
      std::memcpy(&bits, &part, sizeof bits);
      bits = bad != 0 ? Ints{} : bits - 0x4b400000;
      total += bits;
      const Bytes bytes = __builtin_convertvector(bits, Bytes);
      std::memcpy(out + group * kGroup + i, &bytes, sizeof bytes);
    }
    int32_t sum = 0;
    for (int64_t i = 0; i < kLanes; ++i) sum += total[i];
    scales[group] = bad == 0 ? top / 127.0f : std::nanf("");
    sums[group] = -128 * sum;
  }
}

STEP_BODY void round_body(const float* const* x, int64_t inputs, Format format, const Rows& rows) {
  const int64_t padded = round_up(inputs, kGroup);
  for (int64_t row = 0; row < rows.count; ++row) {
    uint8_t* data = rows.data + row * rows.row_bytes;
    if (format == Format::float32) {
      std::memcpy(data, x[row], static_cast<size_t>(inputs) * 4);
      std::memset(data + inputs * 4, 0, static_cast<size_t>(padded - inputs) * 4);
    } else if (format == Format::bfloat16) {
      round_to_bfloat16(x[row], inputs, padded, reinterpret_cast<uint16_t*>(data));
    } else {
      round_to_int8(x[row], inputs, padded, reinterpret_cast<int8_t*>(data), rows.scale + row * rows.groups,
                    rows.sum + row * rows.groups);
    }
  }
}

struct Level {
  void (*layer_norm)(const float*, const float*, const float*, int64_t, float, float*);
  void (*activate)(Activation, float*, int64_t);
  void (*exponentials)(float*, int64_t, float);
  void (*round)(const float* const*, int64_t, Format, const Rows&);
};

#define STEP_LEVEL(NAME, TARGET)                                                                                      \
  TARGET void layer_norm_##NAME(const float* x, const float* weight, const float* bias, int64_t count, float epsilon, \
                                float* out) {                                                                         \
    layer_norm_body(x, weight, bias, count, epsilon, out);                                                            \
  }                                                                                                                   \
  TARGET void activate_##NAME(Activation activation, float* x, int64_t count) { activate_body(activation, x, count); } \
  TARGET void exponentials_##NAME(float* x, int64_t count, float top) { exponentials_body(x, count, top); }           \
  TARGET void round_##NAME(const float* const* x, int64_t inputs, Format format, const Rows& rows) {                  \
    round_body(x, inputs, format, rows);                                                                              \
  }                                                                                                                   \
  constexpr Level NAME##_level = {layer_norm_##NAME, activate_##NAME, exponentials_##NAME, round_##NAME};

STEP_LEVEL(plain, )
#if VOICECLONE_X86
STEP_LEVEL(avx2, VOICECLONE_AVX2)
STEP_LEVEL(avx512, VOICECLONE_AVX512)
#endif

const Level& level() {
#if VOICECLONE_X86
  static const Level& best = best_level() == CpuLevel::avx512  ? avx512_level
                             : best_level() == CpuLevel::avx2 ? avx2_level
                                                              : plain_level;
  return best;
#else
  return plain_level;
#endif
}

}  // namespace

void layer_norm(const float* x, const float* weight, const float* bias, int64_t count, float epsilon, float* out) {
  level().layer_norm(x, weight, bias, count, epsilon, out);
}

void activate(Activation activation, float* x, int64_t count) { level().activate(activation, x, count); }

void exponentials(float* x, int64_t count, float top) { level().exponentials(x, count, top); }

void round_rows(const float* const* x, int64_t inputs, Format format, const Rows& rows) {
  level().round(x, inputs, format, rows);
}

}  // namespace voiceclone::step
