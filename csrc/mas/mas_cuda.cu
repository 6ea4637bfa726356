// Monotonic alignment search on the GPU: one block a sample, one barrier a frame, directions as ballots, a warp walks back.
#include "mas/mas.h"

#include <cuda_runtime.h>

#include <algorithm>

namespace voiceclone::mas {
namespace {

constexpr int kWarp = 32;
constexpr int kMaxThreads = 1024;
constexpr int kAhead = 8;  // frames whose values are loaded before the first of them is needed
constexpr unsigned kAll = 0xffffffffu;

// Reads sums[y-1][x-1] from `above`, writes sums[y][x] to `below`, and a warp's 32 directions to one word.
__device__ __forceinline__ void cell(float value, int64_t x, int64_t y, bool inside, const float* above, float* below,
                                     uint32_t* bits) {
  const float cur = x == y || !inside ? kNever : above[x];
  const float prev = x == 0 ? (y == 0 ? 0.0f : kNever) : inside ? above[x - 1] : kNever;
  const uint32_t word = __ballot_sync(kAll, inside && cur < prev);
  if (inside) below[x] = value + (cur > prev ? cur : prev);
  if (threadIdx.x % kWarp == 0) bits[x / kWarp] = word;
}

// Rows live in `sums` [2, width] by parity: the barrier after row y also ends all reading of row y-1, which y+1 overwrites.
__device__ void forward(const float* value, int64_t frame_stride, int64_t token_stride, int64_t frames, int64_t tokens,
                        float* sums, int64_t width, uint32_t* bits, int64_t words) {
  for (int64_t base = 0; base < frames; base += kAhead) {
    const int64_t rows = min(static_cast<int64_t>(kAhead), frames - base);
    // Blocks wider than the text have one cell a thread: those values are fetched ahead of the chain of barriers.
    float fetched[kAhead];
    const bool one_cell = width <= blockDim.x;
    if (one_cell) {
#pragma unroll
      for (int row = 0; row < kAhead; ++row) {
        const int64_t x = threadIdx.x;
        const bool inside = row < rows && x < tokens;
        fetched[row] = inside ? value[(base + row) * frame_stride + x * token_stride] : 0.0f;
      }
    }
#pragma unroll
    for (int row = 0; row < kAhead; ++row) {
      if (row >= rows) break;
      const int64_t y = base + row;
      const int64_t low = max(static_cast<int64_t>(0), tokens + y - frames);
      const int64_t high = min(tokens, y + 1);
      const float* above = sums + ((y + 1) & 1) * width;
      float* below = sums + (y & 1) * width;
      if (one_cell) {
        const int64_t x = threadIdx.x;
        cell(fetched[row], x, y, x >= low && x < high, above, below, bits + y * words);
      } else {
        for (int64_t x = threadIdx.x; x < width; x += blockDim.x) {
          const bool inside = x >= low && x < high;
          cell(inside ? value[y * frame_stride + x * token_stride] : 0.0f, x, y, inside, above, below,
               bits + y * words);
        }
      }
      __syncthreads();
    }
  }
}

// One warp. Over 32 frames the token moves down at most 32, so two words a frame hold every direction that can be asked
// for: lane i holds those of frame top - i.
__device__ void walk_back_bits(const uint32_t* bits, int64_t words, int64_t frames, int64_t tokens, int32_t* index,
                               int32_t* durations) {
  const int lane = threadIdx.x;
  int64_t token = tokens - 1;
  int32_t run = 0;
  for (int64_t top = frames - 1; top >= 0; top -= kWarp) {
    const int64_t mine = top - lane;
    const int64_t word = token / kWarp;
    const uint32_t upper = mine >= 0 ? bits[mine * words + word] : 0u;
    const uint32_t lower = mine >= 0 && word > 0 ? bits[mine * words + word - 1] : 0u;
    int32_t kept = -1;
    const int count = static_cast<int>(min(static_cast<int64_t>(kWarp), top + 1));
    for (int i = 0; i < count; ++i) {
      const int64_t y = top - i;
      const uint32_t high_word = __shfl_sync(kAll, upper, i);
      const uint32_t low_word = __shfl_sync(kAll, lower, i);
      if (lane == i) kept = static_cast<int32_t>(token);
      ++run;
      const uint32_t chosen = token / kWarp == word ? high_word : low_word;
      const bool down = token > 0 && (token == y || (chosen >> (token % kWarp) & 1u));
      if (down || y == 0) {
        if (lane == 0) durations[token] = run;
        run = 0;
        token -= down;
      }
    }
    if (mine >= 0) index[mine] = kept;
  }
}

// More tokens than frames: the raw values decide; rare, so one thread does it.
__device__ void walk_back_raw(const float* value, int64_t frame_stride, int64_t token_stride, int64_t frames,
                              int64_t tokens, int32_t* index, int32_t* durations) {
  int64_t token = tokens - 1;
  for (int64_t y = frames - 1; y >= 0; --y) {
    index[y] = static_cast<int32_t>(token);
    ++durations[token];
    if (y == 0 || token == 0) continue;
    const float* above = value + (y - 1) * frame_stride + token * token_stride;
    token -= *above < *(above - token_stride);
  }
}

__device__ __forceinline__ int64_t count_of(const int32_t* counts, int64_t sample, int64_t most) {
  return counts == nullptr ? most : max(static_cast<int64_t>(0), min(static_cast<int64_t>(counts[sample]), most));
}

__global__ void __launch_bounds__(kMaxThreads)
    align(Problem problem, uint32_t* workspace, float* rows, int64_t width, int64_t words) {
  extern __shared__ float shared_rows[];
  const int64_t sample = blockIdx.x;
  const int64_t frames = count_of(problem.frame_counts, sample, problem.frames);
  const int64_t tokens = count_of(problem.token_counts, sample, problem.tokens);
  const float* value = problem.value + sample * problem.batch_stride;
  int32_t* index = problem.index + sample * problem.frames;
  int32_t* durations = problem.durations + sample * problem.tokens;
  uint32_t* bits = workspace + sample * problem.frames * words;
  float* sums = rows == nullptr ? shared_rows : rows + sample * 2 * width;

  for (int64_t x = threadIdx.x; x < problem.tokens; x += blockDim.x) durations[x] = 0;
  for (int64_t y = (tokens == 0 ? 0 : frames) + threadIdx.x; y < problem.frames; y += blockDim.x) index[y] = -1;
  __syncthreads();
  if (tokens == 0 || frames == 0) return;
  if (tokens > frames) {
    if (threadIdx.x == 0) {
      walk_back_raw(value, problem.frame_stride, problem.token_stride, frames, tokens, index, durations);
    }
    return;
  }
  forward(value, problem.frame_stride, problem.token_stride, frames, tokens, sums, width, bits, words);
  if (threadIdx.x < kWarp) walk_back_bits(bits, words, frames, tokens, index, durations);
}

constexpr int64_t kSharedBytes = 48 * 1024;  // what every device gives a block without asking

int64_t row_width(const Problem& problem) { return (problem.tokens + kWarp - 1) / kWarp * kWarp; }

bool rows_in_shared(const Problem& problem) { return 2 * row_width(problem) * 4 <= kSharedBytes; }

}  // namespace

int64_t cuda_workspace_words(const Problem& problem) {
  const int64_t rows = rows_in_shared(problem) ? 0 : 2 * row_width(problem);
  return problem.batch * (problem.frames * (row_width(problem) / kWarp) + rows);
}

const char* align_cuda(const Problem& problem, uint32_t* workspace, void* stream) {
  if (problem.batch == 0 || (problem.frames == 0 && problem.tokens == 0)) return nullptr;
  const int64_t width = row_width(problem);
  const int64_t words = width / kWarp;
  const bool shared = rows_in_shared(problem);
  float* rows = shared ? nullptr : reinterpret_cast<float*>(workspace + problem.batch * problem.frames * words);
  const auto threads = static_cast<unsigned>(std::clamp<int64_t>(width, kWarp, kMaxThreads));
  const auto bytes = static_cast<size_t>(shared ? 2 * width * 4 : 0);
  align<<<static_cast<unsigned>(problem.batch), threads, bytes, static_cast<cudaStream_t>(stream)>>>(
      problem, workspace, rows, width, words);
  const cudaError_t status = cudaGetLastError();
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

}  // namespace voiceclone::mas
