// Monotonic alignment search on the CPU: one row buffer, one direction bit a cell, then a walk back over the bits.
#include "common/cpu.h"
#include "mas/mas.h"

#include <algorithm>
#include <cstring>
#include <memory>

#if VOICECLONE_X86
#include <immintrin.h>
#endif

namespace voiceclone::mas {
namespace {

constexpr int64_t kLanes = 16;  // rows are padded to this, bits to kLanes / 8 bytes
constexpr int64_t kStrip = 16;  // frames that a text-major input is transposed at a time

int64_t pad(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

// One sample in flight. Rows [first, last) of the band are computed into `sums` in place; `bits` keeps the directions.
struct Band {
  int64_t frames, tokens;
  float* sums;    // [pad(tokens)]: row y-1 going in, row y coming out
  uint8_t* bits;  // [frames, pad(tokens) / 8]: sum[y-1][x] < sum[y-1][x-1]

  int64_t low(int64_t y) const { return std::max<int64_t>(0, tokens + y - frames); }
  int64_t high(int64_t y) const { return std::min(tokens, y + 1); }
  uint8_t* row_bits(int64_t y) const { return bits + y * (pad(tokens) / 8); }
};

// Cells left of the band are computed from stale sums where a vector straddles its edge: no later row reads them.
using Rows = void (*)(const Band&, const float* value, int64_t frame_stride, int64_t first, int64_t last);

void rows_plain(const Band& band, const float* value, int64_t frame_stride, int64_t first, int64_t last) {
  for (int64_t y = first; y < last; ++y, value += frame_stride) {
    uint8_t* bits = band.row_bits(y);
    const int64_t low = band.low(y);
    const int64_t high = band.high(y);
    std::memset(bits + low / 8, 0, static_cast<size_t>((high + 7) / 8 - low / 8));
    float prev = low > 0 ? band.sums[low - 1] : y == 0 ? 0.0f : kNever;
    for (int64_t x = low; x < high; ++x) {
      const float cur = x == y ? kNever : band.sums[x];
      bits[x / 8] = static_cast<uint8_t>(bits[x / 8] | (cur < prev) << (x % 8));
      const float best = cur > prev ? cur : prev;
      prev = cur;
      band.sums[x] = value[x] + best;
    }
  }
}

void transpose_plain(const float* value, int64_t token_stride, float* out, int64_t out_stride, int64_t columns) {
  for (int64_t x = 0; x < columns; ++x) {
    for (int64_t y = 0; y < kStrip; ++y) out[y * out_stride + x] = value[x * token_stride + y];
  }
}

#if VOICECLONE_X86

inline void fetch(const float* cells) { _mm_prefetch(reinterpret_cast<const char*>(cells), _MM_HINT_T0); }

// max(cur, prev) is `cur > prev ? cur : prev` for every input: where either is NaN x86 returns the second operand.

VOICECLONE_AVX2 inline __m256i lanes_below(int64_t bound) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(bound)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

VOICECLONE_AVX2 void rows_avx2(const Band& band, const float* value, int64_t frame_stride, int64_t first,
                               int64_t last) {
  const __m256i rotate = _mm256_setr_epi32(7, 0, 1, 2, 3, 4, 5, 6);
  const __m256 never = _mm256_set1_ps(kNever);
  for (int64_t y = first; y < last; ++y, value += frame_stride) {
    uint8_t* bits = band.row_bits(y);
    const int64_t high = band.high(y);
    int64_t x = band.low(y) / 8 * 8;
    __m256 before = x > 0 ? _mm256_loadu_ps(band.sums + x - 8) : y == 0 ? _mm256_setzero_ps() : never;
    const int64_t whole = std::min(high, y) / 8 * 8;
    for (; x < whole; x += 8) {
      const __m256 cur = _mm256_loadu_ps(band.sums + x);
      // Lane 7 comes from the block before and is turned round into lane 0.
      const __m256 prev = _mm256_permutevar8x32_ps(_mm256_blend_ps(cur, before, 0x80), rotate);
      bits[x / 8] = static_cast<uint8_t>(_mm256_movemask_ps(_mm256_cmp_ps(cur, prev, _CMP_LT_OQ)));
      before = cur;
      _mm256_storeu_ps(band.sums + x, _mm256_add_ps(_mm256_loadu_ps(value + x), _mm256_max_ps(cur, prev)));
    }
    if (x < high) {
      const __m256 above = _mm256_loadu_ps(band.sums + x);
      const __m256 cur = _mm256_blendv_ps(never, above, _mm256_castsi256_ps(lanes_below(y - x)));
      const __m256 prev = _mm256_permutevar8x32_ps(_mm256_blend_ps(cur, before, 0x80), rotate);
      bits[x / 8] = static_cast<uint8_t>(_mm256_movemask_ps(_mm256_cmp_ps(cur, prev, _CMP_LT_OQ)));
      const __m256 cells = _mm256_maskload_ps(value + x, lanes_below(high - x));
      _mm256_storeu_ps(band.sums + x, _mm256_add_ps(cells, _mm256_max_ps(cur, prev)));
    }
  }
}

VOICECLONE_AVX2 void transpose_8x8(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  __m256 row[8];
  for (int i = 0; i < 8; ++i) row[i] = _mm256_loadu_ps(in + i * in_stride);
  __m256 pair[8];
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
    pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
  }
  __m256 quad[8];
  for (int i = 0; i < 8; i += 4) {
    quad[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
    quad[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xEE);
    quad[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
    quad[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xEE);
  }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(out + i * out_stride, _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x20));
    _mm256_storeu_ps(out + (i + 4) * out_stride, _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x31));
  }
}

VOICECLONE_AVX2 void transpose_avx2(const float* value, int64_t token_stride, float* out, int64_t out_stride,
                                    int64_t columns) {
  int64_t x = 0;
  for (; x + 8 <= columns; x += 8) {
    // Each token's next frames lie on a cache line of their own, which no processor foresees.
    for (int64_t row = x; row < x + 8; ++row) fetch(value + row * token_stride + kStrip);
    for (int64_t y = 0; y < kStrip; y += 8) {
      transpose_8x8(value + x * token_stride + y, token_stride, out + y * out_stride + x, out_stride);
    }
  }
  transpose_plain(value + x * token_stride, token_stride, out + x, out_stride, columns - x);
}

VOICECLONE_AVX512 inline __m512 from_left(__m512 cur, __m512 before) {
  // A register shift: loading from sums + x - 1 would straddle the store of the row before and stall.
  return _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(cur), _mm512_castps_si512(before), 15));
}

VOICECLONE_AVX512 void rows_avx512(const Band& band, const float* value, int64_t frame_stride, int64_t first,
                                   int64_t last) {
  const __m512 never = _mm512_set1_ps(kNever);
  const auto lanes = [](int64_t bound) { return static_cast<__mmask16>((1u << std::min<int64_t>(bound, 16)) - 1); };
  for (int64_t y = first; y < last; ++y, value += frame_stride) {
    auto* bits = reinterpret_cast<__mmask16*>(band.row_bits(y));
    const int64_t high = band.high(y);
    int64_t x = band.low(y) / 16 * 16;
    __m512 before = x > 0 ? _mm512_load_ps(band.sums + x - 16) : y == 0 ? _mm512_setzero_ps() : never;
    const int64_t whole = std::min(high, y) / 16 * 16;
    for (; x < whole; x += 16) {
      const __m512 cur = _mm512_load_ps(band.sums + x);
      const __m512 prev = from_left(cur, before);
      bits[x / 16] = _mm512_cmp_ps_mask(cur, prev, _CMP_LT_OQ);
      before = cur;
      _mm512_store_ps(band.sums + x, _mm512_add_ps(_mm512_loadu_ps(value + x), _mm512_max_ps(cur, prev)));
    }
    if (x < high) {
      // Masked only where it must be: a masked load waits for the row before to reach the cache.
      const float* above = band.sums + x;
      const __m512 cur = y - x >= 16 ? _mm512_load_ps(above) : _mm512_mask_load_ps(never, lanes(y - x), above);
      const __m512 prev = from_left(cur, before);
      bits[x / 16] = _mm512_cmp_ps_mask(cur, prev, _CMP_LT_OQ);
      const __m512 cells = _mm512_maskz_loadu_ps(lanes(high - x), value + x);
      _mm512_store_ps(band.sums + x, _mm512_add_ps(cells, _mm512_max_ps(cur, prev)));
    }
  }
}

#endif  // VOICECLONE_X86

struct Kernels {
  Rows rows = rows_plain;
  void (*transpose)(const float*, int64_t, float*, int64_t, int64_t) = transpose_plain;
};

Kernels best_kernels() {
#if VOICECLONE_X86
  if (best_level() == CpuLevel::avx512) return {rows_avx512, transpose_avx2};
  if (best_level() == CpuLevel::avx2) return {rows_avx2, transpose_avx2};
#endif
  return {};
}

// A text-major input, strip by strip: [tokens, kStrip] becomes [kStrip, tokens] in `strip`, then as usual.
void rows_text_major(const Kernels& kernels, const Band& band, const float* value, int64_t token_stride, float* strip) {
  const int64_t width = pad(band.tokens);
  for (int64_t first = 0; first < band.frames; first += kStrip) {
    const int64_t last = std::min(first + kStrip, band.frames);
    const int64_t low = band.low(first);
    const int64_t high = band.high(last - 1);
    const float* corner = value + low * token_stride + first;
    if (last - first == kStrip) {
      kernels.transpose(corner, token_stride, strip + low, width, high - low);
    } else {
      for (int64_t x = 0; x < high - low; ++x) {
        for (int64_t y = 0; y < last - first; ++y) strip[y * width + low + x] = corner[x * token_stride + y];
      }
    }
    kernels.rows(band, strip, width, first, last);
  }
}

// Calls goes_down(y, x) for frames from the last one, where 0 < x < y or the band is empty; writes index and durations.
template <class GoesDown>
void walk_back(int64_t frames, int64_t tokens, int32_t* index, int32_t* durations, GoesDown goes_down) {
  if (frames == 0) return;
  int64_t token = tokens - 1;
  int64_t end = frames;  // the token's frames are [y, end)
  for (int64_t y = frames - 1; y > 0; --y) {
    index[y] = static_cast<int32_t>(token);
    // A branch, not arithmetic: mostly the walk stays, and the processor runs ahead on that guess.
    if (token > 0 && (token == y || goes_down(y, token))) {
      durations[token--] = static_cast<int32_t>(end - y);
      end = y;
    }
  }
  index[0] = static_cast<int32_t>(token);
  durations[token] = static_cast<int32_t>(end);
}

int64_t count_of(const int32_t* counts, int64_t sample, int64_t most) {
  return counts == nullptr ? most : std::clamp<int64_t>(counts[sample], 0, most);
}

}  // namespace

void align_cpu(const Problem& problem, int64_t begin, int64_t end) {
  const Kernels kernels = best_kernels();
  const int64_t width = pad(problem.tokens);
  const bool text_major = problem.token_stride != 1;
  struct alignas(64) Line {
    float cells[kLanes];
  };
  const auto sums = std::make_unique<Line[]>(static_cast<size_t>(width / kLanes));
  const auto strip = std::make_unique<Line[]>(static_cast<size_t>(text_major ? kStrip * width / kLanes : 0));
  const std::unique_ptr<uint8_t[]> bits(new uint8_t[static_cast<size_t>(problem.frames * width / 8)]);

  for (int64_t sample = begin; sample < end; ++sample) {
    const int64_t frames = count_of(problem.frame_counts, sample, problem.frames);
    const int64_t tokens = count_of(problem.token_counts, sample, problem.tokens);
    const float* value = problem.value + sample * problem.batch_stride;
    int32_t* index = problem.index + sample * problem.frames;
    int32_t* durations = problem.durations + sample * problem.tokens;
    std::fill_n(durations, problem.tokens, 0);
    if (tokens == 0) {
      std::fill_n(index, problem.frames, -1);
      continue;
    }
    std::fill_n(index + frames, problem.frames - frames, -1);
    if (tokens > frames) {
      walk_back(frames, tokens, index, durations, [&](int64_t y, int64_t x) {
        const float* above = value + (y - 1) * problem.frame_stride + x * problem.token_stride;
        return *above < *(above - problem.token_stride);
      });
      continue;
    }
    const Band band{frames, tokens, sums[0].cells, bits.get()};
    if (text_major) {
      rows_text_major(kernels, band, value, problem.token_stride, strip[0].cells);
    } else {
      kernels.rows(band, value, problem.frame_stride, 0, frames);
    }
    walk_back(frames, tokens, index, durations, [&](int64_t y, int64_t x) -> bool {
      return band.row_bits(y)[x / 8] >> (x % 8) & 1;
    });
  }
}

}  // namespace voiceclone::mas
