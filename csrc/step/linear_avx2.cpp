// The linear kernels for AVX2: also for AVX-512 processors that lack the dot products of a format.
#include "common/cpu.h"
#include "step/linear.h"

#if VOICECLONE_X86
#include <immintrin.h>

namespace voiceclone::step {
namespace {

constexpr int kVectors = 4;  // of 8 outputs in a tile
constexpr int64_t kAhead = 2048;

VOICECLONE_AVX2 inline void prefetch_line(const uint8_t* words) {
  _mm_prefetch(reinterpret_cast<const char*>(words) + kAhead, _MM_HINT_T0);
  _mm_prefetch(reinterpret_cast<const char*>(words) + kAhead + 64, _MM_HINT_T0);
}

// R rows of one tile; 1 or 2, for the sake of 16 registers.
template <int R>
VOICECLONE_AVX2 void float_tile(const Matrix& matrix, const Rows& rows, int64_t tile, int64_t row, float* out,
                                int64_t stride) {
  const uint8_t* words = matrix.words + tile * matrix.tile_bytes;
  __m256 sum[R][kVectors];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm256_setzero_ps();
  }
  for (int64_t k = 0; k < matrix.padded_inputs; ++k, words += kLine) {
    prefetch_line(words);
    for (int r = 0; r < R; ++r) {
      const __m256 x = _mm256_set1_ps(reinterpret_cast<const float*>(rows.data + (row + r) * rows.row_bytes)[k]);
      for (int v = 0; v < kVectors; ++v) {
        const __m256 w = _mm256_loadu_ps(reinterpret_cast<const float*>(words) + 8 * v);
        sum[r][v] = _mm256_fmadd_ps(w, x, sum[r][v]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      const __m256 bias = _mm256_loadu_ps(matrix.bias + tile * kTile + 8 * v);
      _mm256_storeu_ps(out + (row + r) * stride + 8 * v, _mm256_add_ps(sum[r][v], bias));
    }
  }
}

template <int R>
VOICECLONE_AVX2 void bfloat16_tile(const Matrix& matrix, const Rows& rows, int64_t tile, int64_t row, float* out,
                                   int64_t stride) {
  const uint8_t* words = matrix.words + tile * matrix.tile_bytes;
  const __m256i odd_mask = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  __m256 sum[R][kVectors];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm256_setzero_ps();
  }
  for (int64_t k = 0; k < matrix.padded_inputs / 2; ++k, words += kLine) {
    prefetch_line(words);
    for (int r = 0; r < R; ++r) {
      const __m256i pair =
          _mm256_set1_epi32(reinterpret_cast<const int32_t*>(rows.data + (row + r) * rows.row_bytes)[k]);
      const __m256 even = _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16));
      const __m256 odd = _mm256_castsi256_ps(_mm256_and_si256(pair, odd_mask));
      for (int v = 0; v < kVectors; ++v) {
        const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words) + v);
        sum[r][v] = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(w, 16)), even, sum[r][v]);
        sum[r][v] = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(w, odd_mask)), odd, sum[r][v]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      const __m256 bias = _mm256_loadu_ps(matrix.bias + tile * kTile + 8 * v);
      _mm256_storeu_ps(out + (row + r) * stride + 8 * v, _mm256_add_ps(sum[r][v], bias));
    }
  }
}

// The bytes' products in 16-bit pairs of even and of odd places: exact, where a sum of neighbours would saturate.
template <int R>
VOICECLONE_AVX2 void int8_tile(const Matrix& matrix, const Rows& rows, int64_t tile, int64_t row, float* out,
                               int64_t stride) {
  const uint8_t* words = matrix.words + tile * matrix.tile_bytes;
  const __m256i even_mask = _mm256_set1_epi16(0xff);
  __m256 total[R][kVectors];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) total[r][v] = _mm256_setzero_ps();
  }
  for (int64_t group = 0; group < rows.groups; ++group) {
    __m256i sum[R][kVectors];
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm256_set1_epi32(rows.sum[(row + r) * rows.groups + group]);
    }
    for (int64_t k = 0; k < kGroup / 4; ++k, words += kLine) {
      prefetch_line(words);
      for (int r = 0; r < R; ++r) {
        const uint8_t* x = rows.data + (row + r) * rows.row_bytes + group * kGroup;
        const __m256i four = _mm256_set1_epi32(reinterpret_cast<const int32_t*>(x)[k]);
        const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(four, 8), 8), odd = _mm256_srai_epi16(four, 8);
        for (int v = 0; v < kVectors; ++v) {
          const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words) + v);
          sum[r][v] = _mm256_add_epi32(sum[r][v], _mm256_madd_epi16(_mm256_and_si256(w, even_mask), even));
          sum[r][v] = _mm256_add_epi32(sum[r][v], _mm256_madd_epi16(_mm256_srli_epi16(w, 8), odd));
        }
      }
    }
    for (int r = 0; r < R; ++r) {
      const __m256 scale = _mm256_set1_ps(rows.scale[(row + r) * rows.groups + group]);
      for (int v = 0; v < kVectors; ++v) {
        total[r][v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r][v]), scale, total[r][v]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      const __m256 scale = _mm256_loadu_ps(matrix.scale + tile * kTile + 8 * v);
      const __m256 bias = _mm256_loadu_ps(matrix.bias + tile * kTile + 8 * v);
      _mm256_storeu_ps(out + (row + r) * stride + 8 * v, _mm256_fmadd_ps(total[r][v], scale, bias));
    }
  }
}

using Tile = void (*)(const Matrix&, const Rows&, int64_t tile, int64_t row, float* out, int64_t stride);

template <Tile one, Tile two>
void tiles(const Matrix& matrix, const Rows& rows, int64_t begin, int64_t end, float* out, int64_t stride) {
  for (int64_t tile = begin; tile < end; ++tile, out += kTile) {
    int64_t row = 0;
    for (; row + 2 <= rows.count; row += 2) two(matrix, rows, tile, row, out, stride);
    if (row < rows.count) one(matrix, rows, tile, row, out, stride);
  }
}

}  // namespace

detail::Kernel detail::avx2_kernel(Format format) {
  if (format == Format::float32) return tiles<float_tile<1>, float_tile<2>>;
  if (format == Format::bfloat16) return tiles<bfloat16_tile<1>, bfloat16_tile<2>>;
  return tiles<int8_tile<1>, int8_tile<2>>;
}

}  // namespace voiceclone::step
#endif
