// conv1d in int8 with AVX512-VNNI: four products a lane and instruction, exact int32 sums.
#include "common/cpu.h"

#if VOICECLONE_X86
#include <immintrin.h>

VOICECLONE_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma")
#define VOICECLONE_CONV1D_KERNELS 1
#include "common/conv1d_avx512.h"

namespace voiceclone::conv1d {
namespace avx512_vnni {
namespace {

struct Dot {
  using Acc = __m512i;
  using Weights = __m512i;
  using Inputs = __m512i;
  static Acc clear() { return _mm512_setzero_si512(); }
  static Weights load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Inputs broadcast(const uint8_t* p) { return _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(p)); }
  static Acc dot(Acc acc, Inputs x, Weights w) { return _mm512_dpbusd_epi32(acc, x, w); }
  static __m512 sum(Acc acc, const float* scale, const int32_t* zero) {
    const __m512i signed_sum = _mm512_sub_epi32(acc, _mm512_loadu_si512(zero));
    // gcc 12 warns about its own unmasked _mm512_cvtepi32_ps.
    return _mm512_mul_ps(_mm512_maskz_cvtepi32_ps(0xffff, signed_sum), _mm512_loadu_ps(scale));
  }
  static void put(uint8_t* p, __m512 v, const float* multiply, const float* offset) {
    const __m512 scaled = _mm512_fmadd_ps(v, _mm512_loadu_ps(multiply), _mm512_loadu_ps(offset));
    const __m512i whole = _mm512_max_epi32(_mm512_cvtps_epi32(scaled), _mm512_setzero_si512());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtusepi32_epi8(whole));
  }
};

struct Int8 : Lanes {
  template <Type>
  using Dot = avx512_vnni::Dot;
};

}  // namespace
}  // namespace avx512_vnni

Function avx512_vnni_kernel() { return &Kernel<avx512_vnni::Int8, Type::int8>::run; }

}  // namespace voiceclone::conv1d
VOICECLONE_END_TARGET
#endif
