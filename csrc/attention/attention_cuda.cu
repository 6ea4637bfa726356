// Attention over a KV cache on the GPU: a block answers one query, its warps share the keys and join their softmaxes.
//
// Which warp and lanes see a key follows from its position alone, so a result does not depend on the batch.
#include "attention/attention.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>
#include <math_constants.h>

namespace voiceclone::attention {
namespace {

constexpr int kWarp = 32;
constexpr int kWarps = 8;
constexpr int kPart = 8;    // numbers of a key that one lane reads
constexpr int kUnroll = 2;  // keys that a lane has on their way at once
constexpr unsigned kAll = 0xffffffffu;

// -- numbers -----------------------------------------------------------------------------------------------------------

__device__ __forceinline__ float read_token(const Tokens& tokens, Number number, int64_t offset) {
  if (number == Number::float32) return static_cast<const float*>(tokens.data)[offset];
  if (number == Number::bfloat16) return __bfloat162float(static_cast<const __nv_bfloat16*>(tokens.data)[offset]);
  return __half2float(static_cast<const __half*>(tokens.data)[offset]);
}

__device__ __forceinline__ void write_token(const Tokens& tokens, Number number, int64_t offset, float value) {
  if (number == Number::float32) {
    static_cast<float*>(tokens.data)[offset] = value;
  } else if (number == Number::bfloat16) {
    static_cast<__nv_bfloat16*>(tokens.data)[offset] = __float2bfloat16_rn(value);
  } else {
    static_cast<__half*>(tokens.data)[offset] = __float2half_rn(value);
  }
}

__device__ __forceinline__ int64_t token_offset(const Tokens& tokens, int64_t row, int64_t token, int64_t head) {
  return row * tokens.row_stride + token * tokens.token_stride + head * tokens.head_stride;
}

// Eight numbers of the cache from number `index` on, which is a multiple of eight.
template <Number kNumber>
__device__ __forceinline__ void read_part(const void* data, int64_t index, float (&to)[kPart]) {
  if constexpr (kNumber == Number::float32) {
    const float4* from = reinterpret_cast<const float4*>(static_cast<const float*>(data) + index);
    const float4 low = from[0];
    const float4 high = from[1];
    to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
    to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
  } else if constexpr (kNumber == Number::bfloat16 || kNumber == Number::float16) {
    const uint4 all = *reinterpret_cast<const uint4*>(static_cast<const uint16_t*>(data) + index);
    const uint32_t words[4] = {all.x, all.y, all.z, all.w};
#pragma unroll
    for (int i = 0; i < kPart; ++i) {
      const auto bits = static_cast<unsigned short>(words[i / 2] >> (i % 2 * 16));
      to[i] = kNumber == Number::bfloat16 ? __uint_as_float(static_cast<uint32_t>(bits) << 16)
                                          : __half2float(__ushort_as_half(bits));
    }
  } else {
    const uint2 all = *reinterpret_cast<const uint2*>(static_cast<const uint8_t*>(data) + index);
    const uint32_t words[2] = {all.x, all.y};
#pragma unroll
    for (int i = 0; i < kPart; ++i) {
      const auto byte = static_cast<uint8_t>(words[i / 4] >> (i % 4 * 8));
      if constexpr (kNumber == Number::int8) {
        to[i] = static_cast<float>(static_cast<int8_t>(byte));
      } else {
        to[i] = __half2float(__half(__nv_cvt_fp8_to_halfraw(byte, __NV_E4M3)));
      }
    }
  }
}

// -- places ------------------------------------------------------------------------------------------------------------

struct Line {  // a row of the batch, as attention.h explains
  const int32_t* pages;
  int length, count, shared, prefix;
  bool fits;  // its page table holds all its positions
};

__device__ __forceinline__ Line line_of(const Problem& problem, int64_t row) {
  Line line;
  line.pages = problem.pages + row * problem.page_entries;
  line.length = problem.lengths[row];
  line.count = problem.counts == nullptr ? static_cast<int>(problem.tokens) : problem.counts[row];
  line.shared = problem.shared == nullptr ? 0 : problem.shared[row];
  line.prefix = problem.prefix == nullptr ? 0 : min(problem.prefix[row], line.length + line.count);
  const int64_t size = problem.cache.page_size;
  const int64_t end = static_cast<int64_t>(line.length) + line.count;
  const int64_t entries = (line.shared + size - 1) / size + (end - line.shared + size - 1) / size;
  line.fits = line.length >= 0 && line.count >= 0 && line.count <= problem.tokens && line.shared >= 0 &&
              line.shared <= line.length && entries <= problem.page_entries &&
              (problem.mask == nullptr || end <= problem.mask_stride);
  return line;
}

// Positions of the cache before this one, or -1 where the table names a page that is none.
__device__ __forceinline__ int64_t index_of(const Cache& cache, const Line& line, int64_t head, int position) {
  const auto size = static_cast<unsigned>(cache.page_size);
  const bool own = position >= line.shared;
  const auto within = static_cast<unsigned>(own ? position - line.shared : position);
  const unsigned entry = within / size + (own ? (static_cast<unsigned>(line.shared) + size - 1) / size : 0u);
  const int32_t page = line.pages[entry];
  if (page < 0 || page >= cache.pages) return -1;
  return (static_cast<int64_t>(page) * cache.heads + head) * cache.page_size + within % size;
}

// -- appending ---------------------------------------------------------------------------------------------------------

// One warp stores one key or value, with the arithmetic of the CPU's store().
__device__ void store(const Problem& problem, const Tokens& tokens, int64_t offset, void* data, float* scales,
                      int64_t index) {
  const Cache& cache = problem.cache;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float step = 0.0f;
  if (cache.number == Number::int8) {
    float most = 0.0f;
    for (int d = lane; d < cache.dim; d += kWarp) {
      const float size = fabsf(read_token(tokens, problem.number, offset + d));
      most = size <= most || isnan(most) ? most : size;
    }
    for (int other = kWarp / 2; other > 0; other /= 2) {
      const float theirs = __shfl_xor_sync(kAll, most, other);
      most = theirs <= most || isnan(most) ? most : theirs;
    }
    step = isfinite(most) ? __fdiv_rn(most, 127.0f) : CUDART_NAN_F;
    if (lane == 0) scales[index] = step;
  }
  for (int d = lane; d < cache.dim; d += kWarp) {
    const float value = read_token(tokens, problem.number, offset + d);
    const int64_t to = index * cache.dim + d;
    switch (cache.number) {
      case Number::float32: static_cast<float*>(data)[to] = value; break;
      case Number::bfloat16: static_cast<__nv_bfloat16*>(data)[to] = __float2bfloat16_rn(value); break;
      case Number::float16: static_cast<__half*>(data)[to] = __float2half_rn(value); break;
      case Number::int8:
        static_cast<int8_t*>(data)[to] = static_cast<int8_t>(step > 0.0f ? rintf(__fdiv_rn(value, step)) : 0.0f);
        break;
      case Number::float8:
        static_cast<uint8_t*>(data)[to] = __nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3);
        break;
    }
  }
}

// The two first warps of a block store the key and the value of one token.
__device__ void append_token(const Problem& problem, const Line& line, int64_t row, int64_t token, int64_t head) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  if (warp > 1) return;
  const Cache& cache = problem.cache;
  const int64_t index = index_of(cache, line, head, line.length + static_cast<int>(token));
  if (index < 0) return;
  if (warp == 0) {
    store(problem, problem.key, token_offset(problem.key, row, token, head), cache.keys, cache.key_scales, index);
  } else {
    store(problem, problem.value, token_offset(problem.value, row, token, head), cache.values, cache.value_scales,
          index);
  }
}

__global__ void __launch_bounds__(2 * kWarp) append_all(Problem problem) {
  const int64_t row = blockIdx.x / problem.cache.heads;
  const int64_t head = blockIdx.x % problem.cache.heads;
  const Line line = line_of(problem, row);
  if (line.fits && blockIdx.y < line.count) append_token(problem, line, row, blockIdx.y, head);
}

// -- attending ---------------------------------------------------------------------------------------------------------

// A softmax in flight over some keys: `sum` and `part` belong to exp(score - top).
struct State {
  float top, sum, part[kPart];
};

__device__ __forceinline__ float weight_of(float score, float top) {
  // Only masked keys so far: any finite number serves, their weights are zero.
  return expf(score - (top == -CUDART_INF_F ? 0.0f : top));
}

__device__ __forceinline__ void join(State& mine, float top, float sum, const float (&part)[kPart]) {
  const float highest = fmaxf(mine.top, top);
  const float keep = weight_of(mine.top, highest);
  const float take = weight_of(top, highest);
  mine.top = highest;
  mine.sum = mine.sum * keep + sum * take;
#pragma unroll
  for (int i = 0; i < kPart; ++i) mine.part[i] = mine.part[i] * keep + part[i] * take;
}

// Grid: (rows * query heads, tokens). A group of `lanes` lanes (a power of two, at least dim / kPart) reads a key.
template <Number kNumber>
__global__ void __launch_bounds__(kWarps* kWarp) attend_all(Problem problem, int lanes, bool appends) {
  __shared__ float tops[kWarps];
  __shared__ float sums[kWarps];
  __shared__ float parts[kWarps][kMaxDim];
  const Cache& cache = problem.cache;
  const int64_t row = blockIdx.x / problem.query_heads;
  const int64_t query_head = blockIdx.x % problem.query_heads;
  const int64_t head = query_head / (problem.query_heads / cache.heads);
  const int token = static_cast<int>(blockIdx.y);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t to = token_offset(problem.out, row, token, query_head);
  const Line line = line_of(problem, row);
  if (!line.fits || token >= line.count) {
    for (int d = static_cast<int>(threadIdx.x); d < cache.dim; d += kWarps * kWarp) {
      write_token(problem.out, problem.number, to + d, 0.0f);
    }
    return;
  }
  if (appends) {
    append_token(problem, line, row, token, head);
    __syncthreads();  // makes what this block stored visible to all of it
  }

  const int first = lane % lanes * kPart;
  const bool reads = first < cache.dim;
  float wanted[kPart] = {};
  if (reads) {
    const int64_t from = token_offset(problem.query, row, token, query_head) + first;
#pragma unroll
    for (int i = 0; i < kPart; ++i) wanted[i] = read_token(problem.query, problem.number, from + i) * problem.scale;
  }
  const float* mask = problem.mask == nullptr ? nullptr : problem.mask + row * problem.mask_stride;
  const int visible = max(line.length + token + 1, line.prefix);
  const int groups = kWarp / lanes;
  const int stride = kWarps * groups;
  State state{-CUDART_INF_F, 0.0f, {}};
  // Every lane takes every turn: the shuffles below need them all.
  for (int base = warp * groups; base < visible; base += stride * kUnroll) {
    float key[kUnroll][kPart] = {};
    float value[kUnroll][kPart] = {};
    float key_scale[kUnroll];
    float value_scale[kUnroll];
    bool seen[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int position = base + u * stride + lane / lanes;
      const int64_t index = position < visible ? index_of(cache, line, head, position) : -1;
      seen[u] = index >= 0;
      key_scale[u] = value_scale[u] = 1.0f;
      if (!seen[u] || !reads) continue;
      read_part<kNumber>(cache.keys, index * cache.dim + first, key[u]);
      read_part<kNumber>(cache.values, index * cache.dim + first, value[u]);
      if constexpr (kNumber == Number::int8) {
        key_scale[u] = cache.key_scales[index];
        value_scale[u] = cache.value_scales[index];
      }
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      float score = 0.0f;
#pragma unroll
      for (int i = 0; i < kPart; ++i) score = fmaf(wanted[i], key[u][i], score);
      for (int other = lanes / 2; other > 0; other /= 2) score += __shfl_xor_sync(kAll, score, other);
      if (!seen[u]) continue;
      // Idle lanes of a group read no scale; they hold no part of the result either.
      score *= key_scale[u];
      if (mask != nullptr) score += mask[base + u * stride + lane / lanes];
      const float highest = fmaxf(state.top, score);
      const float keep = weight_of(state.top, highest);
      const float weight = weight_of(score, highest);
      state.top = highest;
      state.sum = state.sum * keep + weight;
      const float scaled = weight * value_scale[u];
#pragma unroll
      for (int i = 0; i < kPart; ++i) state.part[i] = fmaf(scaled, value[u][i], state.part[i] * keep);
    }
  }

  // Groups of a warp, then warps.
  for (int other = lanes; other < kWarp; other *= 2) {
    float part[kPart];
#pragma unroll
    for (int i = 0; i < kPart; ++i) part[i] = __shfl_xor_sync(kAll, state.part[i], other);
    const float top = __shfl_xor_sync(kAll, state.top, other);
    const float sum = __shfl_xor_sync(kAll, state.sum, other);
    join(state, top, sum, part);
  }
  if (lane < lanes && reads) {
#pragma unroll
    for (int i = 0; i < kPart; ++i) parts[warp][first + i] = state.part[i];
  }
  if (lane == 0) {
    tops[warp] = state.top;
    sums[warp] = state.sum;
  }
  __syncthreads();
  const int d = static_cast<int>(threadIdx.x);
  if (d >= cache.dim) return;
  float highest = -CUDART_INF_F;
  for (int w = 0; w < kWarps; ++w) highest = fmaxf(highest, tops[w]);
  float total = 0.0f;
  float found = 0.0f;
  for (int w = 0; w < kWarps; ++w) {
    const float weight = weight_of(tops[w], highest);
    total += sums[w] * weight;
    found += parts[w][d] * weight;
  }
  write_token(problem.out, problem.number, to + d, total == 0.0f ? 0.0f : found / total);
}

using Kernel = void (*)(Problem, int, bool);

Kernel kernel_of(Number number) {
  switch (number) {
    case Number::bfloat16: return attend_all<Number::bfloat16>;
    case Number::float16: return attend_all<Number::float16>;
    case Number::int8: return attend_all<Number::int8>;
    case Number::float8: return attend_all<Number::float8>;
    default: return attend_all<Number::float32>;
  }
}

constexpr int64_t kMostTokens = 65535;  // a grid's second dimension

}  // namespace

const char* attend_batch_cuda(const Problem& problem, void* stream) {
  if (problem.batch == 0 || problem.tokens == 0 || problem.query_heads == 0) return nullptr;
  if (problem.cache.page_size == 0 || problem.page_entries == 0) return "the cache has no room";
  if (problem.tokens > kMostTokens) return "too many tokens at once";
  int lanes = 1;
  while (lanes * kPart < problem.cache.dim) lanes *= 2;
  const auto tokens = static_cast<unsigned>(problem.tokens);
  const auto to = static_cast<cudaStream_t>(stream);
  // One token of one query head a cache head: its block can store it. Else others would read before it is there.
  const bool appends = problem.tokens == 1 && problem.query_heads == problem.cache.heads;
  if (!appends) {
    const dim3 pairs(static_cast<unsigned>(problem.batch * problem.cache.heads), tokens);
    append_all<<<pairs, 2 * kWarp, 0, to>>>(problem);
  }
  const dim3 queries(static_cast<unsigned>(problem.batch * problem.query_heads), tokens);
  kernel_of(problem.cache.number)<<<queries, kWarps * kWarp, 0, to>>>(problem, lanes, appends);
  const cudaError_t status = cudaGetLastError();
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

}  // namespace voiceclone::attention
