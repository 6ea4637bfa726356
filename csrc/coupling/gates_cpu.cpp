// tanh, sigmoid and exp in plain code, AVX2 and AVX-512, to within two units in the last place of exp.
#include "common/cpu.h"
#include "coupling/gates.h"

#include <cmath>

#if VOICECLONE_X86
#include <immintrin.h>
#endif

namespace voiceclone::coupling {
namespace {

// tanh is 1 from here on in float32; it keeps exp(2 * 9) far from overflow.
constexpr float kSaturated = 9.1f;
constexpr float kLowest = -87.0f, kHighest = 88.0f;  // exp stays normal and finite

void gate_plain(const float* a, const float* b, const float* at, const float* bt, float* out, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) {
    const float left = at == nullptr ? a[c] : a[c] + at[c];
    const float right = bt == nullptr ? b[c] : b[c] + bt[c];
    out[c] = std::tanh(left) / (1.0f + std::exp(-right));
  }
}

void exponential_plain(float* values, int64_t count) {
  for (int64_t c = 0; c < count; ++c) values[c] = std::exp(values[c]);
}

#if VOICECLONE_X86

// exp(x) = 2^n exp(r), |r| <= log(2) / 2: the coefficients are Cephes' minimax polynomial of exp(r) - 1 - r.
constexpr float kLog2e = 1.44269504088896341f, kLogHigh = 0.693359375f, kLogLow = -2.12194440e-4f;
constexpr float kPoly[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                           4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};

// Limits stand first: x86's min and max give the second operand where one is NaN, so that NaN stays.

VOICECLONE_AVX512 inline __m512 exp_avx512(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(kLowest), _mm512_min_ps(_mm512_set1_ps(kHighest), x));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(kLog2e)), 8);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLogHigh), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLogLow), r);
  __m512 p = _mm512_set1_ps(kPoly[0]);
  for (int i = 1; i < 6; ++i) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kPoly[i]));
  p = _mm512_add_ps(_mm512_fmadd_ps(_mm512_mul_ps(p, r), r, r), _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

VOICECLONE_AVX512 void gate_avx512(const float* a, const float* b, const float* at, const float* bt, float* out,
                                   int64_t channels) {
  const __m512 one = _mm512_set1_ps(1.0f);
  for (int64_t c = 0; c < channels; c += 16) {
    const auto lanes = static_cast<__mmask16>(channels - c >= 16 ? 0xffffu : (1u << (channels - c)) - 1);
    __m512 left = _mm512_maskz_loadu_ps(lanes, a + c), right = _mm512_maskz_loadu_ps(lanes, b + c);
    if (at != nullptr) {
      left = _mm512_add_ps(left, _mm512_maskz_loadu_ps(lanes, at + c));
      right = _mm512_add_ps(right, _mm512_maskz_loadu_ps(lanes, bt + c));
    }
    left = _mm512_max_ps(_mm512_set1_ps(-kSaturated), _mm512_min_ps(_mm512_set1_ps(kSaturated), left));
    const __m512 e = exp_avx512(_mm512_add_ps(left, left));
    const __m512 f = exp_avx512(_mm512_sub_ps(_mm512_setzero_ps(), right));
    const __m512 under = _mm512_mul_ps(_mm512_add_ps(e, one), _mm512_add_ps(f, one));
    _mm512_mask_storeu_ps(out + c, lanes, _mm512_div_ps(_mm512_sub_ps(e, one), under));
  }
}

VOICECLONE_AVX512 void exponential_avx512(float* values, int64_t count) {
  for (int64_t c = 0; c < count; c += 16) {
    const auto lanes = static_cast<__mmask16>(count - c >= 16 ? 0xffffu : (1u << (count - c)) - 1);
    _mm512_mask_storeu_ps(values + c, lanes, exp_avx512(_mm512_maskz_loadu_ps(lanes, values + c)));
  }
}

VOICECLONE_AVX2 inline __m256i lanes_avx2(int64_t count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count < 8 ? count : 8)), lane);
}

VOICECLONE_AVX2 inline __m256 exp_avx2(__m256 x) {
  x = _mm256_max_ps(_mm256_set1_ps(kLowest), _mm256_min_ps(_mm256_set1_ps(kHighest), x));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(kLog2e)), 8);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLogHigh), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLogLow), r);
  __m256 p = _mm256_set1_ps(kPoly[0]);
  for (int i = 1; i < 6; ++i) p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kPoly[i]));
  p = _mm256_add_ps(_mm256_fmadd_ps(_mm256_mul_ps(p, r), r, r), _mm256_set1_ps(1.0f));
  const __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(exponent));
}

VOICECLONE_AVX2 void gate_avx2(const float* a, const float* b, const float* at, const float* bt, float* out,
                               int64_t channels) {
  const __m256 one = _mm256_set1_ps(1.0f);
  for (int64_t c = 0; c < channels; c += 8) {
    const __m256i lanes = lanes_avx2(channels - c);
    __m256 left = _mm256_maskload_ps(a + c, lanes), right = _mm256_maskload_ps(b + c, lanes);
    if (at != nullptr) {
      left = _mm256_add_ps(left, _mm256_maskload_ps(at + c, lanes));
      right = _mm256_add_ps(right, _mm256_maskload_ps(bt + c, lanes));
    }
    left = _mm256_max_ps(_mm256_set1_ps(-kSaturated), _mm256_min_ps(_mm256_set1_ps(kSaturated), left));
    const __m256 e = exp_avx2(_mm256_add_ps(left, left));
    const __m256 f = exp_avx2(_mm256_sub_ps(_mm256_setzero_ps(), right));
    const __m256 under = _mm256_mul_ps(_mm256_add_ps(e, one), _mm256_add_ps(f, one));
    _mm256_maskstore_ps(out + c, lanes, _mm256_div_ps(_mm256_sub_ps(e, one), under));
  }
}

VOICECLONE_AVX2 void exponential_avx2(float* values, int64_t count) {
  for (int64_t c = 0; c < count; c += 8) {
    const __m256i lanes = lanes_avx2(count - c);
    _mm256_maskstore_ps(values + c, lanes, exp_avx2(_mm256_maskload_ps(values + c, lanes)));
  }
}

#endif  // VOICECLONE_X86

}  // namespace

Gates best_gates() {
#if VOICECLONE_X86
  if (best_level() == CpuLevel::avx512) return {gate_avx512, exponential_avx512};
  if (best_level() == CpuLevel::avx2) return {gate_avx2, exponential_avx2};
#endif
  return {gate_plain, exponential_plain};
}

}  // namespace voiceclone::coupling
