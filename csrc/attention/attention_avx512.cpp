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

KERNEL Pair from_halves(__m512i halves) {
  return {_mm512_cvtph_ps(_mm512_castsi512_si256(halves)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1))};
}

struct Float16 : InOrder {
  static constexpr int64_t kBytes = 2;
  static KERNEL Pair read(const char* from) { return from_halves(_mm512_loadu_si512(from)); }
  static KERNEL Pair read(const char* from, Lanes lanes) {
    return from_halves(_mm512_maskz_loadu_epi16(lanes.all(), from));
  }
};

KERNEL __m256i bytes(const char* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

struct Int8 : InOrder {
  static constexpr int64_t kBytes = 1;
  static KERNEL Pair widen(__m256i all) {
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_castsi256_si128(all))),
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_extracti128_si256(all, 1)))};
  }
  static KERNEL Pair read(const char* from) { return widen(bytes(from)); }
  static KERNEL Pair read(const char* from, Lanes lanes) {
    return widen(_mm256_maskz_loadu_epi8(lanes.all(), from));
  }
};

// e4m3fn as a half: the exponent's bias is 8 too small, which one multiplication mends, also for subnormal numbers.
struct Float8 : InOrder {
  static constexpr int64_t kBytes = 1;
  static KERNEL Pair widen(__m256i all) {
    const __m512i wide = _mm512_cvtepu8_epi16(all);
    const __m512i magnitude = _mm512_and_si512(_mm512_slli_epi16(wide, 7), _mm512_set1_epi16(0x3f80));
    const __m512i sign = _mm512_and_si512(_mm512_slli_epi16(wide, 8), _mm512_set1_epi16(-0x8000));
    const __mmask32 nan = _mm512_cmpeq_epi16_mask(magnitude, _mm512_set1_epi16(0x3f80));
    const Pair small =
        from_halves(_mm512_mask_mov_epi16(_mm512_or_si512(magnitude, sign), nan, _mm512_set1_epi16(0x7e00)));
    const __m512 bias = _mm512_set1_ps(256.0f);
    return {_mm512_mul_ps(small.first, bias), _mm512_mul_ps(small.second, bias)};
  }
  static KERNEL Pair read(const char* from) { return widen(bytes(from)); }
  static KERNEL Pair read(const char* from, Lanes lanes) {
    return widen(_mm256_maskz_loadu_epi8(lanes.all(), from));
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

KERNEL void fetch(Ahead ahead, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < std::min(end, ahead.bytes); i += kLine) _mm_prefetch(ahead.data + i, _MM_HINT_T1);
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
VOICECLONE_AVX512 void scores(const float* query, const void* keys, int64_t count, int64_t dim, float* out,
                              Ahead ahead) {
  const int64_t stride = dim * Stored::kBytes;
  const Lanes lanes{dim - (kUnits - 1) * 32};
  const Vectors<kUnits> wanted = load_units<Stored, kUnits>(query);
  const auto* key = static_cast<const char*>(keys);
  for (int64_t i = 0; i < count; i += 16, key += 16 * stride) {
    fetch(ahead, i * stride, (i + 16) * stride);
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
    _mm512_mask_storeu_ps(out + i, static_cast<__mmask16>((2u << last) - 1), found);
  }
}

template <class Stored, int kUnits, bool kTail>
VOICECLONE_AVX512 void weigh(const float* weights, const void* values, int64_t count, int64_t dim, float* sum,
                             Ahead ahead) {
  const int64_t stride = dim * Stored::kBytes;
  const Lanes lanes{dim - (kUnits - 1) * 32};
  Vectors<kUnits> total = load_units<Stored, kUnits>(sum);
  const auto* value = static_cast<const char*>(values);
  for (int64_t begin = 0; begin < count; begin += 16) {
    fetch(ahead, begin * stride, (begin + 16) * stride);
    const int64_t end = std::min(begin + 16, count);
    for (int64_t i = begin; i < end; ++i, value += stride) {
      const __m512 weight = _mm512_set1_ps(weights[i]);
#pragma GCC unroll 4
      for (int u = 0; u < kUnits; ++u) {
        const Pair part = read_unit<Stored, kUnits, kTail>(value, u, lanes);
        total.unit[u].first = _mm512_fmadd_ps(weight, part.first, total.unit[u].first);
        total.unit[u].second = _mm512_fmadd_ps(weight, part.second, total.unit[u].second);
      }
    }
  }
#pragma GCC unroll 4
  for (int u = 0; u < kUnits; ++u) {
    const Pair ordered = Stored::join(total.unit[u]);
    _mm512_store_ps(sum + u * 32, ordered.first);
    _mm512_store_ps(sum + u * 32 + 16, ordered.second);
  }
}

KERNEL __mmask16 lanes_below(int64_t bound) { return static_cast<__mmask16>((1u << std::min<int64_t>(bound, 16)) - 1); }

KERNEL __m256 upper_half(__m512 all) {
  return _mm256_castsi256_ps(_mm512_maskz_extracti64x4_epi64(0xf, _mm512_castps_si512(all), 1));
}

// Halves folded in ordinary registers: gcc warns about the 512-bit reductions that it brings.
KERNEL float largest_lane(__m512 all) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(all), upper_half(all));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

KERNEL float sum_of_lanes(__m512 all) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(all), upper_half(all));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

VOICECLONE_AVX512 float largest(const float* scores, int64_t count, float top) {
  __m512 most = _mm512_set1_ps(top);
  for (int64_t i = 0; i < count; i += 16) {
    // Where a score is NaN the second operand is taken.
    const __m512 found = _mm512_mask_loadu_ps(most, lanes_below(count - i), scores + i);
    most = _mm512_max_ps(found, most);
  }
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
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 lanes = lanes_below(count - i);
    const __m512 found = exponential(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, scores + i), base));
    _mm512_mask_storeu_ps(scores + i, lanes, found);
    sum = _mm512_mask_add_ps(sum, lanes, sum, found);
  }
  return sum_of_lanes(sum);
}

template <class Stored, int kUnits>
VOICECLONE_AVX512 void scores_of_any(const float* query, const void* keys, int64_t count, int64_t dim, float* out,
                                     Ahead ahead) {
  if constexpr (kUnits > 0) {
    if (dim == kUnits * 32) return scores<Stored, kUnits, false>(query, keys, count, dim, out, ahead);
    if (dim > (kUnits - 1) * 32) return scores<Stored, kUnits, true>(query, keys, count, dim, out, ahead);
    scores_of_any<Stored, kUnits - 1>(query, keys, count, dim, out, ahead);
  }
}

template <class Stored, int kUnits>
VOICECLONE_AVX512 void weigh_any(const float* weights, const void* values, int64_t count, int64_t dim, float* sum,
                                 Ahead ahead) {
  if constexpr (kUnits > 0) {
    if (dim == kUnits * 32) return weigh<Stored, kUnits, false>(weights, values, count, dim, sum, ahead);
    if (dim > (kUnits - 1) * 32) return weigh<Stored, kUnits, true>(weights, values, count, dim, sum, ahead);
    weigh_any<Stored, kUnits - 1>(weights, values, count, dim, sum, ahead);
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
