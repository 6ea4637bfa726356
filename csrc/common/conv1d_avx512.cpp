// conv1d in float32 with AVX-512.
#include "common/cpu.h"

#if VOICECLONE_X86
#include <immintrin.h>

VOICECLONE_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")
#define VOICECLONE_CONV1D_KERNELS 1
#include "common/conv1d_avx512.h"

namespace voiceclone::conv1d {
namespace avx512 {
namespace {

struct Dot {
  using Acc = __m512;
  using Weights = __m512;
  using Inputs = __m512;
  static Acc clear() { return _mm512_setzero_ps(); }
  static Weights load(const uint8_t* p) { return _mm512_loadu_ps(p); }
  static Inputs broadcast(const uint8_t* p) { return _mm512_set1_ps(*reinterpret_cast<const float*>(p)); }
  static Acc dot(Acc acc, Inputs x, Weights w) { return _mm512_fmadd_ps(x, w, acc); }
  static __m512 sum(Acc acc, const float*, const int32_t*) { return acc; }
  static void put(uint8_t* p, __m512 v, const float*, const float*) { _mm512_storeu_ps(p, v); }
};

struct Float32 : Lanes {
  template <Type>
  using Dot = avx512::Dot;
};

}  // namespace
}  // namespace avx512

Function avx512_kernel() { return &Kernel<avx512::Float32, Type::float32>::run; }

}  // namespace voiceclone::conv1d
VOICECLONE_END_TARGET
#endif
