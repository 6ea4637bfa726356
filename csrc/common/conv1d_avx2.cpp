// conv1d with AVX2: float32, and exact stand-ins for the bfloat16 and int8 products that it lacks.
#include "common/cpu.h"

#if VOICECLONE_X86
#include <immintrin.h>

#include <cstdint>

VOICECLONE_BEGIN_TARGET("avx2,fma")
#define VOICECLONE_CONV1D_KERNELS 1
#include "common/conv1d_kernel.h"

namespace voiceclone::conv1d {
namespace avx2 {
namespace {

template <Type>
struct Product;

template <>
struct Product<Type::float32> {
  using Acc = __m256;
  using Weights = __m256;
  using Inputs = __m256;
  static Acc clear() { return _mm256_setzero_ps(); }
  static Weights load(const uint8_t* p) { return _mm256_loadu_ps(reinterpret_cast<const float*>(p)); }
  static Inputs broadcast(const uint8_t* p) { return _mm256_broadcast_ss(reinterpret_cast<const float*>(p)); }
  static Acc dot(Acc acc, Inputs x, Weights w) { return _mm256_fmadd_ps(x, w, acc); }
  static __m256 sum(Acc acc, const float*, const int32_t*) { return acc; }
  static void put(uint8_t* p, __m256 v, const float*, const float*) {
    _mm256_storeu_ps(reinterpret_cast<float*>(p), v);
  }
};

// A bfloat16 is the upper half of a float32: the odd ones by masking, the even ones by shifting.
template <>
struct Product<Type::bfloat16> {
  using Acc = __m256;
  using Weights = __m256i;
  using Inputs = __m256i;
  static Acc clear() { return _mm256_setzero_ps(); }
  static Weights load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Inputs broadcast(const uint8_t* p) { return _mm256_set1_epi32(*reinterpret_cast<const int32_t*>(p)); }
  static __m256 even(__m256i pair) { return _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16)); }
  static __m256 odd(__m256i pair) {
    return _mm256_castsi256_ps(_mm256_and_si256(pair, _mm256_set1_epi32(static_cast<int32_t>(0xffff0000u))));
  }
  static Acc dot(Acc acc, Inputs x, Weights w) {
    return _mm256_fmadd_ps(odd(x), odd(w), _mm256_fmadd_ps(even(x), even(w), acc));
  }
  static __m256 sum(Acc acc, const float*, const int32_t*) { return acc; }
  static void put(uint8_t* p, __m256 v, const float*, const float*) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i tie = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i nearest = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), tie);
    const __m256i halves = _mm256_srli_epi32(nearest, 16);
    const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), packed);
  }
};

// _mm256_maddubs_epi16 would saturate its sums of two products, so the bytes are widened first.
template <>
struct Product<Type::int8> {
  using Acc = __m256i;
  using Weights = __m256i;
  using Inputs = __m256i;
  static Acc clear() { return _mm256_setzero_si256(); }
  static Weights load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Inputs broadcast(const uint8_t* p) { return _mm256_set1_epi32(*reinterpret_cast<const int32_t*>(p)); }
  static Acc dot(Acc acc, Inputs x, Weights w) {
    const __m256i even_x = _mm256_and_si256(x, _mm256_set1_epi16(0xff));
    const __m256i even_w = _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8);
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), _mm256_srai_epi16(w, 8));
    return _mm256_add_epi32(acc, _mm256_add_epi32(_mm256_madd_epi16(even_x, even_w), odd));
  }
  static __m256 sum(Acc acc, const float* scale, const int32_t* zero) {
    const __m256i offset = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(zero));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(acc, offset)), _mm256_loadu_ps(scale));
  }
  static void put(uint8_t* p, __m256 v, const float* multiply, const float* offset) {
    const __m256i whole = _mm256_cvtps_epi32(_mm256_fmadd_ps(v, _mm256_loadu_ps(multiply), _mm256_loadu_ps(offset)));
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    const __m128i bytes = _mm_packus_epi16(_mm_min_epu16(words, _mm_set1_epi16(255)), words);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), bytes);
  }
};

struct Isa {
  using F = __m256;
  static constexpr int64_t kWidth = 8;
  template <Type kType>
  static constexpr int rows() {
    return kType == Type::float32 ? 6 : 4;
  }
  template <Type kType>
  using Dot = Product<kType>;
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  static F set1(float v) { return _mm256_set1_ps(v); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
};

}  // namespace
}  // namespace avx2

Function avx2_kernel(Type type) {
  return type == Type::float32    ? &Kernel<avx2::Isa, Type::float32>::run
         : type == Type::bfloat16 ? &Kernel<avx2::Isa, Type::bfloat16>::run
                                  : &Kernel<avx2::Isa, Type::int8>::run;
}

}  // namespace voiceclone::conv1d
VOICECLONE_END_TARGET
#endif
