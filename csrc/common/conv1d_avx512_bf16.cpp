// conv1d in bfloat16 with AVX512-BF16: two products a lane and instruction, float32 sums.
#include "common/cpu.h"

#if VOICECLONE_X86
#include <immintrin.h>

VOICECLONE_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")
#define VOICECLONE_CONV1D_KERNELS 1
#include "common/conv1d_avx512.h"

namespace voiceclone::conv1d {
namespace avx512_bf16 {
namespace {

struct Dot {
  using Acc = __m512;
  using Weights = __m512bh;
  using Inputs = __m512bh;
  static Acc clear() { return _mm512_setzero_ps(); }
  static Weights load(const uint8_t* p) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p)); }
  static Inputs broadcast(const uint8_t* p) {
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(*reinterpret_cast<const int32_t*>(p)));
  }
  static Acc dot(Acc acc, Inputs x, Weights w) { return _mm512_dpbf16_ps(acc, x, w); }
  static __m512 sum(Acc acc, const float*, const int32_t*) { return acc; }
  static void put(uint8_t* p, __m512 v, const float*, const float*) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
  }
};

struct Bfloat16 : Lanes {
  template <Type>
  using Dot = avx512_bf16::Dot;
};

}  // namespace
}  // namespace avx512_bf16

Function avx512_bf16_kernel() { return &Kernel<avx512_bf16::Bfloat16, Type::bfloat16>::run; }

}  // namespace voiceclone::conv1d
VOICECLONE_END_TARGET
#endif
