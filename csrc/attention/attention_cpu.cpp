// Attention over a KV cache on the CPU: chunk by chunk of positions, with a running maximum (online softmax).
#include "attention/attention.h"
#include "attention/kernels.h"
#include "attention/numbers.h"
#include "common/cpu.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace voiceclone::attention {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

const Kernels& kernels_of(Number number) {
  static const struct Table {
    Kernels of[5];
    Table() {
      for (int i = 0; i < 5; ++i) {
        const auto each = static_cast<Number>(i);
        of[i] = plain_kernels(each);
#if VOICECLONE_X86
        if (best_level() == CpuLevel::avx512) of[i] = avx512_kernels(each);
        if (best_level() == CpuLevel::avx2) of[i] = avx2_kernels(each);
#endif
      }
    }
  } table;
  return table.of[static_cast<int>(number)];
}

const char* at(const void* data, const Cache& cache, int64_t index) {
  return static_cast<const char*>(data) + index * cache.dim * bytes_of(cache.number);
}

void store(void* data, float* scales, const Cache& cache, int64_t index, const float* from) {
  const int64_t dim = cache.dim;
  char* to = static_cast<char*>(data) + index * dim * bytes_of(cache.number);
  switch (cache.number) {
    case Number::float32: std::copy_n(from, dim, reinterpret_cast<float*>(to)); break;
    case Number::bfloat16: std::transform(from, from + dim, reinterpret_cast<uint16_t*>(to), to_bfloat16); break;
    case Number::float16: std::transform(from, from + dim, reinterpret_cast<uint16_t*>(to), to_float16); break;
    case Number::float8: std::transform(from, from + dim, reinterpret_cast<uint8_t*>(to), to_float8); break;
    case Number::int8: {
      float most = 0.0f;
      for (int64_t d = 0; d < dim; ++d) most = std::abs(from[d]) <= most ? most : std::abs(from[d]);
      // What is not finite has no scale; NaN says so to every query that sees it.
      scales[index] = std::isfinite(most) ? most / 127.0f : std::numeric_limits<float>::quiet_NaN();
      const float step = scales[index];
      std::transform(from, from + dim, reinterpret_cast<int8_t*>(to), [step](float value) {
        return static_cast<int8_t>(step > 0.0f ? std::nearbyint(value / step) : 0.0f);
      });
    }
  }
}

// Up to `count` keys from `position` on, as far as they follow one another.
Ahead keys_ahead(const Cache& cache, const Row& row, int64_t head, int64_t position, int64_t count) {
  if (head < 0 || count <= 0) return {nullptr, 0};
  const Place where = place(cache, row, head, position);
  return {at(cache.keys, cache, where.index), std::min(where.run, count) * cache.dim * bytes_of(cache.number)};
}

}  // namespace

void append(const Cache& cache, const Row& row, int64_t head, int64_t position, const float* key, const float* value) {
  const int64_t index = place(cache, row, head, position).index;
  store(cache.keys, cache.key_scales, cache, index, key);
  store(cache.values, cache.value_scales, cache, index, value);
}

void attend(const Cache& cache, const Row& row, int64_t head, int64_t visible, const float* query, float scale,
            const float* mask, float* out, int64_t next_head) {
  const Kernels& kernels = kernels_of(cache.number);
  const bool scaled = cache.number == Number::int8;
  alignas(64) float wanted[kMaxDim] = {};
  alignas(64) float sum[kMaxDim] = {};
  alignas(64) float weights[kChunk];
  for (int64_t d = 0; d < cache.dim; ++d) wanted[d] = query[d] * scale;
  float top = kNone;
  float total = 0.0f;
  for (int64_t begin = 0; begin < visible; begin += kChunk) {
    const int64_t end = std::min(begin + kChunk, visible);
    for (int64_t position = begin; position < end;) {
      const Place where = place(cache, row, head, position);
      const int64_t count = std::min(where.run, end - position);
      float* scores = weights + (position - begin);
      const Ahead ahead{at(cache.values, cache, where.index), count * cache.dim * bytes_of(cache.number)};
      kernels.scores(wanted, at(cache.keys, cache, where.index), count, cache.dim, scores, ahead);
      if (scaled) {
        for (int64_t i = 0; i < count; ++i) scores[i] *= cache.key_scales[where.index + i];
      }
      position += count;
    }
    if (mask != nullptr) {
      for (int64_t i = begin; i < end; ++i) weights[i - begin] += mask[i];
    }
    const float highest = kernels.softmax.largest(weights, end - begin, top);
    // Only masked keys so far: any finite number serves, their weights are zero.
    const float base = highest == kNone ? 0.0f : highest;
    if (highest != top && top != kNone) {
      const float shrink = std::exp(top - base);
      total *= shrink;
      for (float& part : sum) part *= shrink;
    }
    top = highest;
    total += kernels.softmax.exponentials(weights, end - begin, base);
    for (int64_t position = begin; position < end;) {
      const Place where = place(cache, row, head, position);
      const int64_t count = std::min(where.run, end - position);
      float* scores = weights + (position - begin);
      if (scaled) {
        for (int64_t i = 0; i < count; ++i) scores[i] *= cache.value_scales[where.index + i];
      }
      const int64_t later = position + kChunk;
      const Ahead ahead = end < visible ? keys_ahead(cache, row, head, later, std::min(count, visible - later))
                                        : keys_ahead(cache, row, next_head, position - begin, count);
      kernels.weigh(scores, at(cache.values, cache, where.index), count, cache.dim, sum, ahead);
      position += count;
    }
  }
  const float share = total == 0.0f ? 0.0f : 1.0f / total;
  for (int64_t d = 0; d < cache.dim; ++d) out[d] = sum[d] * share;
}

}  // namespace voiceclone::attention
