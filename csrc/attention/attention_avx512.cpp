// The loops of attention with AVX-512: sixteen keys at a time, 32 numbers of a key in two registers.
#include "attention/kernels.h"
#include "common/cpu.h"

#if VOICECLONE_X86

#include <immintrin.h>

#include <algorithm>

namespace voiceclone::attention {
namespace {

#define KERNEL VOICECLONE_AVX512 inline __attribute__((always_inline))

struct Pair {
  __m512 first, second;
};

// The last unit of a key may have 8, 16 or 24 numbers.
struct Lanes {
  int64_t count;
  KERNEL __mmask16 first() const { return static_cast<__mmask16>((1u << std::min<int64_t>(count, 16)) - 1); }
  KERNEL __mmask16 second() const { return static_cast<__mmask16>((1u << std::max<int64_t>(count - 16, 0)) - 1); }
  KERNEL __mmask16 pairs() const { return static_cast<__mmask16>((1u << count / 2) - 1); }
  KERNEL __mmask32 all() const { return static_cast<__mmask32>((uint64_t{1} << count) - 1); }
};

// Each reads 32 numbers; split() puts float32 numbers into the order that reading gives, join() back.
struct InOrder {
  static KERNEL Pair split(Pair ordered) { return ordered; }
  static KERNEL Pair join(Pair read) { return read; }
};

struct Float32 : InOrder {
  static constexpr int64_t kBytes = 4;
  static KERNEL Pair read(const char* from) { return {_mm512_loadu_ps(from), _mm512_loadu_ps(from + 64)}; }
  static KERNEL Pair read(const char* from, Lanes lanes) {
    return {_mm512_maskz_loadu_ps(lanes.first(), from), _mm512_maskz_loadu_ps(lanes.second(), from + 64)};
  }
};

// Even numbers are the low halves of 32 bits, odd ones the high halves: one shift or mask makes sixteen floats.
struct Bfloat16 {
  static constexpr int64_t kBytes = 2;
  static KERNEL Pair widen(__m512i both) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(both, 16)),
            _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32(static_cast<int>(0xffff0000u))))};
  }
  static KERNEL Pair read(const char* from) { return widen(_mm512_loadu_si512(from)); }
  static KERNEL Pair read(const char* from, Lanes lanes) {
    return widen(_mm512_maskz_loadu_epi32(lanes.pairs(), from));
  }
  static KERNEL Pair split(Pair ordered) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    return {_mm512_permutex2var_ps(ordered.first, even, ordered.second),
            _mm512_permutex2var_ps(ordered.first, odd, ordered.second)};
  }
  static KERNEL Pair join(Pair read) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    return {_mm512_permutex2var_ps(read.first, low, read.second),
            _mm512_permutex2var_ps(read.first, high, read.second)};
  }
};

KERNEL __m128i sixteen_bytes(const char* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
KERNEL __m256i half_line(const char* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

struct Float16 : InOrder {
  static constexpr int64_t kBytes = 2;
  static KERNEL Pair read(const char* from) {
    return {_mm512_cvtph_ps(half_line(from)), _mm512_cvtph_ps(half_line(from + 32))};
  }
  static KERNEL Pair read(const char* from, Lanes lanes) {
    return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes.first(), from)),
            _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes.second(), from + 32))};
  }
};

struct Int8 : InOrder {
  static constexpr int64_t kBytes = 1;
  static KERNEL __m512 widen(__m128i some) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(some)); }
  static KERNEL Pair read(const char* from) { return {widen(sixteen_bytes(from)), widen(sixteen_bytes(from + 16))}; }
  static KERNEL Pair read(const char* from, Lanes lanes) {
    return {widen(_mm_maskz_loadu_epi8(lanes.first(), from)), widen(_mm_maskz_loadu_epi8(lanes.second(), from + 16))};
  }
};

// e4m3fn as halves: sign, exponent and mantissa lie as they should, but for the exponent's bias, which is 8 too small
// and mended by a multiplication with 256, also for subnormal numbers.
struct Float8 : InOrder {
  static constexpr int64_t kBytes = 1;
  static KERNEL __m512 widen(__m128i some) {
    const __m256i halves =
        _mm256_and_si256(_mm256_slli_epi16(_mm256_cvtepi8_epi16(some), 7), _mm256_set1_epi16(static_cast<short>(0xbf80)));
    const __mmask16 nan = _mm256_cmpeq_epi16_mask(_mm256_slli_epi16(halves, 1), _mm256_set1_epi16(0x7f00));
    const __m256i known = _mm256_mask_mov_epi16(halves, nan, _mm256_set1_epi16(0x7e00));
    return _mm512_mul_ps(_mm512_cvtph_ps(known), _mm512_set1_ps(256.0f));
  }
  static KERNEL Pair read(const char* from) { return {widen(sixteen_bytes(from)), widen(sixteen_bytes(from + 16))}; }
  static KERNEL Pair read(const char* from, Lanes lanes) {
    return {widen(_mm_maskz_loadu_epi8(lanes.first(), from)), widen(_mm_maskz_loadu_epi8(lanes.second(), from + 16))};
  }
};

template <int kUnits>
struct Vectors {
  Pair unit[kUnits];
};

// A key of kUnits * 32 numbers, or some fewer where kTail.
template <class Stored, int kUnits, bool kTail>
KERNEL Pair read_unit(const char* key, int unit, Lanes lanes) {
  const char* from = key + unit * 32 * Stored::kBytes;
  return kTail && unit == kUnits - 1 ? Stored::read(from, lanes) : Stored::read(from);
}

template <class Stored, int kUnits, bool kTail>
KERNEL __m512 products(const Vectors<kUnits>& query, const char* key, Lanes lanes) {
  const Pair head = read_unit<Stored, kUnits, kTail>(key, 0, lanes);
  __m512 sum = _mm512_mul_ps(head.first, query.unit[0].first);
  sum = _mm512_fmadd_ps(head.second, query.unit[0].second, sum);
#pragma GCC unroll 4
  for (int u = 1; u < kUnits; ++u) {
    const Pair part = read_unit<Stored, kUnits, kTail>(key, u, lanes);
    sum = _mm512_fmadd_ps(part.first, query.unit[u].first, sum);
    sum = _mm512_fmadd_ps(part.second, query.unit[u].second, sum);
  }
  return sum;
}

// Each quarter of the result has the sums of a, b, c, d over that quarter.
KERNEL __m512 sums_of_quarters(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512d low = _mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
  const __m512d high = _mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
  return _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
}

KERNEL __m512 halves_added(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

template <class Stored, int kUnits>
KERNEL Vectors<kUnits> load_units(const float* from) {
  Vectors<kUnits> all;
#pragma GCC unroll 4
  for (int u = 0; u < kUnits; ++u) {
    all.unit[u] = Stored::split({_mm512_load_ps(from + u * 32), _mm512_load_ps(from + u * 32 + 16)});
  }
  return all;
}

template <class Stored, int kUnits, bool kTail>
VOICECLONE_AVX512 void scores(const float* query, const void* keys, int64_t count, int64_t dim, float* out) {
  const int64_t stride = dim * Stored::kBytes;
  const Lanes lanes{dim - (kUnits - 1) * 32};
  const Vectors<kUnits> wanted = load_units<Stored, kUnits>(query);
  const auto* key = static_cast<const char*>(keys);
  for (int64_t i = 0; i < count; i += 16, key += 16 * stride) {
    // Past the end the last key is read again, its score thrown away.
    const int64_t last = std::min<int64_t>(count - i, 16) - 1;
    __m512 four[4];
#pragma GCC unroll 4
    for (int group = 0; group < 4; ++group) {
      __m512 one[4];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const char* row = key + std::min<int64_t>(group * 4 + j, last) * stride;
        one[j] = products<Stored, kUnits, kTail>(wanted, row, lanes);
      }
      four[group] = sums_of_quarters(one[0], one[1], one[2], one[3]);
    }
    const __m512 found = halves_added(halves_added(four[0], four[1]), halves_added(four[2], four[3]));
    _mm512_storeu_ps(out + i, found);
  }
}

template <class Stored, int kUnits, bool kTail>
KERNEL void add_value(Vectors<kUnits>& total, const float* weight, const char* value, Lanes lanes) {
  const __m512 factor = _mm512_set1_ps(*weight);
#pragma GCC unroll 4
  for (int u = 0; u < kUnits; ++u) {
    const Pair part = read_unit<Stored, kUnits, kTail>(value, u, lanes);
    total.unit[u].first = _mm512_fmadd_ps(factor, part.first, total.unit[u].first);
    total.unit[u].second = _mm512_fmadd_ps(factor, part.second, total.unit[u].second);
  }
}

template <class Stored, int kUnits>
KERNEL void store_units(const Vectors<kUnits>& all, float* to) {
#pragma GCC unroll 4
  for (int u = 0; u < kUnits; ++u) {
    const Pair ordered = Stored::join(all.unit[u]);
    _mm512_store_ps(to + u * 32, ordered.first);
    _mm512_store_ps(to + u * 32 + 16, ordered.second);
  }
}

template <class Stored, int kUnits, bool kTail>
VOICECLONE_AVX512 void weigh(const float* weights, const void* values, int64_t count, int64_t dim, bool odd, Sum& sum) {
  const int64_t stride = dim * Stored::kBytes;
  const Lanes lanes{dim - (kUnits - 1) * 32};
  const auto* value = static_cast<const char*>(values);
  Vectors<kUnits> even_sum = load_units<Stored, kUnits>(sum.of[0]);
  Vectors<kUnits> odd_sum = load_units<Stored, kUnits>(sum.of[1]);
  int64_t i = 0;
  if (odd && count > 0) add_value<Stored, kUnits, kTail>(odd_sum, weights + i++, value, lanes);
  for (; i + 2 <= count; i += 2) {
    add_value<Stored, kUnits, kTail>(even_sum, weights + i, value + i * stride, lanes);
    add_value<Stored, kUnits, kTail>(odd_sum, weights + i + 1, value + (i + 1) * stride, lanes);
  }
  if (i < count) add_value<Stored, kUnits, kTail>(even_sum, weights + i, value + i * stride, lanes);
  store_units<Stored, kUnits>(even_sum, sum.of[0]);
  store_units<Stored, kUnits>(odd_sum, sum.of[1]);
}

// Halves folded through memory: gcc warns about its own 512-bit reductions and casts.
KERNEL float largest_lane(__m512 all) {
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, all);
  const __m256 eight = _mm256_max_ps(_mm256_load_ps(lanes), _mm256_load_ps(lanes + 8));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

KERNEL float sum_of_lanes(__m512 all) {
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, all);
  const __m256 eight = _mm256_add_ps(_mm256_load_ps(lanes), _mm256_load_ps(lanes + 8));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

VOICECLONE_AVX512 float largest(const float* scores, int64_t count, float top) {
  __m512 most = _mm512_set1_ps(top);
  // Where a score is NaN the second operand is taken.
  for (int64_t i = 0; i < count; i += kLanes) most = _mm512_max_ps(_mm512_load_ps(scores + i), most);
  return largest_lane(most);
}

// exp(x) for x <= 0 to two units in the last place: 2^n * e^r, |r| <= ln 2 / 2.
KERNEL __m512 exponential(__m512 x) {
  // Below this the result is zero in float32, and n must stay finite. NaN as the second operand passes.
  x = _mm512_max_ps(_mm512_set1_ps(-104.0f), x);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 series = _mm512_set1_ps(1.0f / 5040.0f);
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.0f / 720.0f));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.0f / 120.0f));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.0f / 24.0f));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.0f / 6.0f));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(0.5f));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.0f));
  series = _mm512_fmadd_ps(series, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(series, n);
}

VOICECLONE_AVX512 float exponentials(float* scores, int64_t count, float top) {
  const __m512 base = _mm512_set1_ps(top);
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += kLanes) {
    const __m512 found = exponential(_mm512_sub_ps(_mm512_load_ps(scores + i), base));
    _mm512_store_ps(scores + i, found);
    sum = _mm512_add_ps(sum, found);
  }
  return sum_of_lanes(sum);
}

template <class Stored, int kUnits>
VOICECLONE_AVX512 void scores_of_any(const float* query, const void* keys, int64_t count, int64_t dim, float* out) {
  if constexpr (kUnits > 0) {
    if (dim == kUnits * 32) return scores<Stored, kUnits, false>(query, keys, count, dim, out);
    if (dim > (kUnits - 1) * 32) return scores<Stored, kUnits, true>(query, keys, count, dim, out);
    scores_of_any<Stored, kUnits - 1>(query, keys, count, dim, out);
  }
}

template <class Stored, int kUnits>
VOICECLONE_AVX512 void weigh_any(const float* weights, const void* values, int64_t count, int64_t dim, bool odd,
                                 Sum& sum) {
  if constexpr (kUnits > 0) {
    if (dim == kUnits * 32) return weigh<Stored, kUnits, false>(weights, values, count, dim, odd, sum);
    if (dim > (kUnits - 1) * 32) return weigh<Stored, kUnits, true>(weights, values, count, dim, odd, sum);
    weigh_any<Stored, kUnits - 1>(weights, values, count, dim, odd, sum);
  }
}

template <class Stored>
Kernels kernels() {
  constexpr int kMostUnits = kMaxDim / 32;
  return {scores_of_any<Stored, kMostUnits>, weigh_any<Stored, kMostUnits>, {largest, exponentials}};
}

}  // namespace

Kernels avx512_kernels(Number number) {
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
