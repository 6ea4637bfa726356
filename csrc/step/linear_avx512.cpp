// The linear kernels for AVX-512: float32, bfloat16 dot products (AVX512-BF16), int8 dot products (VNNI).
#include "common/cpu.h"
#include "step/linear.h"

#include <algorithm>

#if VOICECLONE_X86
#include <immintrin.h>

#define STEP_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")))
#define STEP_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma")))

namespace voiceclone::step {
namespace {

// Rows that share one pass over a tile: 2 accumulators each.
constexpr int kRows = 8;
// Fetches what a pass over R rows reads a while later into the second cache; the hardware's prefetcher stops at each page.
// The distances are measured: many rows take long over a line, and must be fed from farther ahead to hide memory.
template <int R>
VOICECLONE_AVX512 inline void fetch_ahead(const void* words) {
  const char* ahead = static_cast<const char*>(words) + (R <= 4 ? 1024 : 8192);
  _mm_prefetch(ahead, _MM_HINT_T1);
  _mm_prefetch(ahead + 64, _MM_HINT_T1);
}

// Calls work(rows in this pass as a constant, first row) over all rows.
#define STEP_FOR_ROWS(KERNEL, ...)                                                                    \
  for (int64_t row = 0; row < rows.count; row += kRows) {                                             \
    switch (std::min<int64_t>(kRows, rows.count - row)) {                                             \
      case 1: KERNEL<1>(__VA_ARGS__); break;                                                          \
      case 2: KERNEL<2>(__VA_ARGS__); break;                                                          \
      case 3: KERNEL<3>(__VA_ARGS__); break;                                                          \
      case 4: KERNEL<4>(__VA_ARGS__); break;                                                          \
      case 5: KERNEL<5>(__VA_ARGS__); break;                                                          \
      case 6: KERNEL<6>(__VA_ARGS__); break;                                                          \
      case 7: KERNEL<7>(__VA_ARGS__); break;                                                          \
      default: KERNEL<8>(__VA_ARGS__); break;                                                         \
    }                                                                                                 \
  }

template <int R>
VOICECLONE_AVX512 void float_tile(const Matrix& matrix, const Rows& rows, int64_t tile, int64_t row, float* out,
                                  int64_t stride) {
  const float* words = reinterpret_cast<const float*>(matrix.words + tile * matrix.tile_bytes);
  const float* x[R];
  __m512 low[R], high[R];
  for (int r = 0; r < R; ++r) {
    x[r] = reinterpret_cast<const float*>(rows.data + (row + r) * rows.row_bytes);
    low[r] = high[r] = _mm512_setzero_ps();
  }
  for (int64_t k = 0; k < matrix.padded_inputs; ++k, words += kTile) {
    fetch_ahead<R>(words);
    const __m512 a = _mm512_loadu_ps(words), b = _mm512_loadu_ps(words + 16);
    for (int r = 0; r < R; ++r) {
      const __m512 value = _mm512_set1_ps(x[r][k]);
      low[r] = _mm512_fmadd_ps(a, value, low[r]);
      high[r] = _mm512_fmadd_ps(b, value, high[r]);
    }
  }
  for (int r = 0; r < R; ++r) {
    const float* bias = matrix.bias + tile * kTile;
    _mm512_storeu_ps(out + (row + r) * stride, _mm512_add_ps(low[r], _mm512_loadu_ps(bias)));
    _mm512_storeu_ps(out + (row + r) * stride + 16, _mm512_add_ps(high[r], _mm512_loadu_ps(bias + 16)));
  }
}

template <int R>
STEP_BF16 void bfloat16_tile(const Matrix& matrix, const Rows& rows, int64_t tile, int64_t row, float* out,
                             int64_t stride) {
  const uint8_t* words = matrix.words + tile * matrix.tile_bytes;
  const int32_t* x[R];
  __m512 low[R], high[R];
  for (int r = 0; r < R; ++r) {
    x[r] = reinterpret_cast<const int32_t*>(rows.data + (row + r) * rows.row_bytes);
    low[r] = high[r] = _mm512_setzero_ps();
  }
  for (int64_t k = 0; k < matrix.padded_inputs / 2; ++k, words += kLine) {
    fetch_ahead<R>(words);
    const __m512bh a = reinterpret_cast<__m512bh>(_mm512_loadu_si512(words));
    const __m512bh b = reinterpret_cast<__m512bh>(_mm512_loadu_si512(words + 64));
    for (int r = 0; r < R; ++r) {
      const __m512bh pair = reinterpret_cast<__m512bh>(_mm512_set1_epi32(x[r][k]));
      low[r] = _mm512_dpbf16_ps(low[r], a, pair);
      high[r] = _mm512_dpbf16_ps(high[r], b, pair);
    }
  }
  for (int r = 0; r < R; ++r) {
    const float* bias = matrix.bias + tile * kTile;
    _mm512_storeu_ps(out + (row + r) * stride, _mm512_add_ps(low[r], _mm512_loadu_ps(bias)));
    _mm512_storeu_ps(out + (row + r) * stride + 16, _mm512_add_ps(high[r], _mm512_loadu_ps(bias + 16)));
  }
}

template <int R>
STEP_VNNI void int8_tile(const Matrix& matrix, const Rows& rows, int64_t tile, int64_t row, float* out,
                         int64_t stride) {
  const uint8_t* words = matrix.words + tile * matrix.tile_bytes;
  alignas(64) float sums[R][kTile];  // kept in memory: registers hold the integer sums of one group
  for (int64_t group = 0; group < rows.groups; ++group) {
    const int32_t* x[R];
    __m512i low[R], high[R];
    for (int r = 0; r < R; ++r) {
      x[r] = reinterpret_cast<const int32_t*>(rows.data + (row + r) * rows.row_bytes + group * kGroup);
      low[r] = high[r] = _mm512_set1_epi32(rows.sum[(row + r) * rows.groups + group]);
    }
    for (int64_t k = 0; k < kGroup / 4; ++k, words += kLine) {
      fetch_ahead<R>(words);
      const __m512i a = _mm512_loadu_si512(words), b = _mm512_loadu_si512(words + 64);
      for (int r = 0; r < R; ++r) {
        const __m512i four = _mm512_set1_epi32(x[r][k]);
        low[r] = _mm512_dpbusd_epi32(low[r], a, four);
        high[r] = _mm512_dpbusd_epi32(high[r], b, four);
      }
    }
    for (int r = 0; r < R; ++r) {
      const __m512 scale = _mm512_set1_ps(rows.scale[(row + r) * rows.groups + group]);
      const __m512 a = group == 0 ? _mm512_setzero_ps() : _mm512_load_ps(sums[r]);
      const __m512 b = group == 0 ? _mm512_setzero_ps() : _mm512_load_ps(sums[r] + 16);
      _mm512_store_ps(sums[r], _mm512_fmadd_ps(_mm512_cvtepi32_ps(low[r]), scale, a));
      _mm512_store_ps(sums[r] + 16, _mm512_fmadd_ps(_mm512_cvtepi32_ps(high[r]), scale, b));
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int64_t half = 0; half < kTile; half += 16) {
      const __m512 scale = _mm512_loadu_ps(matrix.scale + tile * kTile + half);
      const __m512 bias = _mm512_loadu_ps(matrix.bias + tile * kTile + half);
      _mm512_storeu_ps(out + (row + r) * stride + half, _mm512_fmadd_ps(_mm512_load_ps(sums[r] + half), scale, bias));
    }
  }
}

void float_tiles(const Matrix& matrix, const Rows& rows, int64_t begin, int64_t end, float* out, int64_t stride) {
  for (int64_t tile = begin; tile < end; ++tile, out += kTile) {
    STEP_FOR_ROWS(float_tile, matrix, rows, tile, row, out, stride)
  }
}

void bfloat16_tiles(const Matrix& matrix, const Rows& rows, int64_t begin, int64_t end, float* out, int64_t stride) {
  for (int64_t tile = begin; tile < end; ++tile, out += kTile) {
    STEP_FOR_ROWS(bfloat16_tile, matrix, rows, tile, row, out, stride)
  }
}

void int8_tiles(const Matrix& matrix, const Rows& rows, int64_t begin, int64_t end, float* out, int64_t stride) {
  for (int64_t tile = begin; tile < end; ++tile, out += kTile) {
    STEP_FOR_ROWS(int8_tile, matrix, rows, tile, row, out, stride)
  }
}

}  // namespace

detail::Kernel detail::avx512_kernel(Format format) {
  if (format == Format::float32) return float_tiles;
  if (format == Format::bfloat16) return __builtin_cpu_supports("avx512bf16") ? bfloat16_tiles : nullptr;
  return __builtin_cpu_supports("avx512vnni") ? int8_tiles : nullptr;
}

}  // namespace voiceclone::step
#endif
