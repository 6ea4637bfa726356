// The loops of attention with AVX2: eight numbers of a key in a register, 32 dimensions of the values at a time.
#include "attention/kernels.h"
#include "common/cpu.h"

#if VOICECLONE_X86

#include <immintrin.h>

#include <algorithm>

namespace voiceclone::attention {
namespace {

#define VOICECLONE_AVX2_HALF __attribute__((target("avx2,fma,f16c")))
#define KERNEL VOICECLONE_AVX2_HALF inline __attribute__((always_inline))

constexpr int64_t kLanes = 8;

KERNEL __m128i eight_halves(const char* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
KERNEL __m128i eight_bytes(const char* from) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)); }

struct Float32 {
  static constexpr int64_t kBytes = 4;
  static KERNEL __m256 read(const char* from) { return _mm256_loadu_ps(reinterpret_cast<const float*>(from)); }
};

struct Bfloat16 {
  static constexpr int64_t kBytes = 2;
  static KERNEL __m256 read(const char* from) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(eight_halves(from)), 16));
  }
};

struct Float16 {
  static constexpr int64_t kBytes = 2;
  static KERNEL __m256 read(const char* from) { return _mm256_cvtph_ps(eight_halves(from)); }
};

struct Int8 {
  static constexpr int64_t kBytes = 1;
  static KERNEL __m256 read(const char* from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight_bytes(from)));
  }
};

// e4m3fn as a half: the exponent's bias is 8 too small, which one multiplication mends, also for subnormal numbers.
struct Float8 {
  static constexpr int64_t kBytes = 1;
  static KERNEL __m256 read(const char* from) {
    const __m128i wide = _mm_cvtepu8_epi16(eight_bytes(from));
    const __m128i magnitude = _mm_and_si128(_mm_slli_epi16(wide, 7), _mm_set1_epi16(0x3f80));
    const __m128i sign = _mm_and_si128(_mm_slli_epi16(wide, 8), _mm_set1_epi16(-0x8000));
    const __m128i nan = _mm_and_si128(_mm_cmpeq_epi16(magnitude, _mm_set1_epi16(0x3f80)), _mm_set1_epi16(0x7e00));
    const __m128i half = _mm_or_si128(_mm_or_si128(magnitude, sign), nan);
    return _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(256.0f));
  }
};

KERNEL float sum_of(__m256 eight) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

KERNEL void fetch(Ahead ahead, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < std::min(end, ahead.bytes); i += kLine) _mm_prefetch(ahead.data + i, _MM_HINT_T1);
}

template <class Stored>
VOICECLONE_AVX2_HALF void scores(const float* query, const void* keys, int64_t count, int64_t dim, float* out,
                                 Ahead ahead) {
  const int64_t stride = dim * Stored::kBytes;
  const auto* key = static_cast<const char*>(keys);
  for (int64_t i = 0; i < count; ++i, key += stride) {
    fetch(ahead, (i * stride + kLine - 1) / kLine * kLine, (i + 1) * stride);
    __m256 even = _mm256_setzero_ps();
    __m256 odd = _mm256_setzero_ps();
    for (int64_t d = 0; d < dim; d += 2 * kLanes) {
      even = _mm256_fmadd_ps(Stored::read(key + d * Stored::kBytes), _mm256_load_ps(query + d), even);
      if (d + kLanes == dim) break;
      const char* next = key + (d + kLanes) * Stored::kBytes;
      odd = _mm256_fmadd_ps(Stored::read(next), _mm256_load_ps(query + d + kLanes), odd);
    }
    out[i] = sum_of(_mm256_add_ps(even, odd));
  }
}

template <class Stored, int kVectors>
KERNEL void weigh_some(const float* weights, const char* value, int64_t count, int64_t stride, float* sum) {
  __m256 total[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) total[v] = _mm256_load_ps(sum + v * kLanes);
  for (int64_t i = 0; i < count; ++i, value += stride) {
    const __m256 weight = _mm256_set1_ps(weights[i]);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      total[v] = _mm256_fmadd_ps(weight, Stored::read(value + v * kLanes * Stored::kBytes), total[v]);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) _mm256_store_ps(sum + v * kLanes, total[v]);
}

template <class Stored>
VOICECLONE_AVX2_HALF void weigh(const float* weights, const void* values, int64_t count, int64_t dim, float* sum,
                                Ahead ahead) {
  const int64_t stride = dim * Stored::kBytes;
  const auto* value = static_cast<const char*>(values);
  constexpr int64_t kKeys = 16;
  for (int64_t i = 0; i < count; i += kKeys, value += kKeys * stride) {
    const int64_t some = std::min(kKeys, count - i);
    fetch(ahead, i * stride, (i + some) * stride);
    int64_t d = 0;
    for (; d + 4 * kLanes <= dim; d += 4 * kLanes) {
      weigh_some<Stored, 4>(weights + i, value + d * Stored::kBytes, some, stride, sum + d);
    }
    for (; d < dim; d += kLanes) weigh_some<Stored, 1>(weights + i, value + d * Stored::kBytes, some, stride, sum + d);
  }
}

VOICECLONE_AVX2_HALF float largest(const float* scores, int64_t count, float top) {
  __m256 most = _mm256_set1_ps(top);
  int64_t i = 0;
  // Where a score is NaN the second operand is taken.
  for (; i + kLanes <= count; i += kLanes) most = _mm256_max_ps(_mm256_loadu_ps(scores + i), most);
  for (; i < count; ++i) top = scores[i] > top ? scores[i] : top;
  alignas(32) float lanes[kLanes];
  _mm256_store_ps(lanes, most);
  for (const float lane : lanes) top = lane > top ? lane : top;
  return top;
}

// exp(x) for x <= 0 to two units in the last place: 2^n * e^r, |r| <= ln 2 / 2; zero where float32 has few digits left.
KERNEL __m256 exponential(__m256 x) {
  const __m256 tiny = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_LT_OQ);
  // NaN as the second operand passes.
  x = _mm256_max_ps(_mm256_set1_ps(-87.0f), x);
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
  __m256 series = _mm256_set1_ps(1.0f / 5040.0f);
  series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(1.0f / 720.0f));
  series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(1.0f / 120.0f));
  series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(1.0f / 24.0f));
  series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(1.0f / 6.0f));
  series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(0.5f));
  series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(1.0f));
  series = _mm256_fmadd_ps(series, r, _mm256_set1_ps(1.0f));
  const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_andnot_ps(tiny, _mm256_mul_ps(series, _mm256_castsi256_ps(power)));
}

VOICECLONE_AVX2_HALF float exponentials(float* scores, int64_t count, float top) {
  const __m256 base = _mm256_set1_ps(top);
  __m256 sum = _mm256_setzero_ps();
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const __m256 found = exponential(_mm256_sub_ps(_mm256_loadu_ps(scores + i), base));
    _mm256_storeu_ps(scores + i, found);
    sum = _mm256_add_ps(sum, found);
  }
  float total = sum_of(sum);
  alignas(32) float rest[kLanes] = {};
  std::copy(scores + i, scores + count, rest);
  _mm256_store_ps(rest, exponential(_mm256_sub_ps(_mm256_load_ps(rest), base)));
  for (int64_t j = 0; i + j < count; ++j) total += scores[i + j] = rest[j];
  return total;
}

template <class Stored>
Kernels kernels() {
  return {scores<Stored>, weigh<Stored>, {largest, exponentials}};
}

}  // namespace

Kernels avx2_kernels(Number number) {
  const bool halves = number == Number::float16 || number == Number::float8;
  if (halves && !__builtin_cpu_supports("f16c")) return plain_kernels(number);
  switch (number) {
    case Number::bfloat16: return kernels<Bfloat16>();
    case Number::float16: return kernels<Float16>();
    case Number::int8: return kernels<Int8>();
    case Number::float8: return kernels<Float8>();
    default: return kernels<Float32>();
  }
}

}  // namespace voiceclone::attention

#endif  // VOICECLONE_X86
