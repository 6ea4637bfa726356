// Sixteen float32 lanes: what the AVX-512 kernels of conv1d share.
#pragma once

#include "common/conv1d_kernel.h"

#include <immintrin.h>

namespace voiceclone::conv1d {
namespace {  // one copy a file: each file is compiled for its own instruction set

struct Lanes {
  using F = __m512;
  static constexpr int64_t kWidth = 16;
  template <Type>
  static constexpr int rows() {
    return 12;
  }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  static F set1(float v) { return _mm512_set1_ps(v); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
};

}  // namespace
}  // namespace voiceclone::conv1d
