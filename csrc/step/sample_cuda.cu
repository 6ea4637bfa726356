// Draws tokens on the GPU: one block a row, which ranks the logits in shared memory where a filter asks for it.
//
// Every filter keeps the tokens of the first ranks (larger logit first, then lower index), so that all of them together
// are one key to compare with. Order and rules are those of sample_cpu.cpp.
#include "step/step_cuda.h"

#include <cfloat>
#include <cmath>

namespace voiceclone::step {
namespace {

constexpr int kThreads = 512;

using Key = unsigned long long;

// Smaller keys rank first.
__device__ Key key_of(float logit, int64_t index) {
  const unsigned bits = __float_as_uint(logit == 0.0f ? 0.0f : logit);  // -0 ranks with 0
  const unsigned rising = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return static_cast<Key>(~rising) << 32 | static_cast<Key>(index);
}

__device__ float logit_of(Key key) {
  const unsigned rising = ~static_cast<unsigned>(key >> 32);
  return __uint_as_float(rising & 0x80000000u ? rising & 0x7fffffffu : ~rising);
}

struct Best {
  float value;
  int index;  // -1: none
};

__device__ Best better(Best a, Best b) {
  if (b.index < 0) return a;
  if (a.index < 0) return b;
  return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

// The best of all threads, in every thread.
__device__ Best best_of_block(Best mine, Best* shared) {
  shared[threadIdx.x] = mine;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] = better(shared[threadIdx.x], shared[threadIdx.x + half]);
    __syncthreads();
  }
  const Best found = shared[0];
  __syncthreads();
  return found;
}

// The sum over the threads before this one; `total` over all.
__device__ double sum_before(double mine, double* shared, double* total) {
  shared[threadIdx.x] = mine;
  __syncthreads();
  for (int step = 1; step < kThreads; step *= 2) {
    const double below = threadIdx.x >= step ? shared[threadIdx.x - step] : 0.0;
    __syncthreads();
    shared[threadIdx.x] += below;
    __syncthreads();
  }
  const double before = threadIdx.x == 0 ? 0.0 : shared[threadIdx.x - 1];
  *total = shared[kThreads - 1];
  __syncthreads();
  return before;
}

__device__ void sort(Key* keys, int count) {
  for (int size = 2; size <= count; size *= 2) {
    for (int stride = size / 2; stride > 0; stride /= 2) {
      for (int i = threadIdx.x; i < count / 2; i += kThreads) {
        const int low = 2 * i - (i & (stride - 1)), high = low + stride;
        const Key a = keys[low], b = keys[high];
        const bool rising = (low & size) == 0;
        if ((a > b) == rising) {
          keys[low] = b;
          keys[high] = a;
        }
      }
      __syncthreads();
    }
  }
}

// How many of the first `count` ranks top-p keeps, at least one; weights are exp((logit - top) / temperature).
__device__ int ranks_of_top_p(const Key* keys, int count, float temperature, float top_p, bool inclusive,
                              double* sums, int* kept) {
  const float top = logit_of(keys[0]) / temperature;
  const int each = (count + kThreads - 1) / kThreads;
  const int begin = min(static_cast<int>(threadIdx.x) * each, count), end = min(begin + each, count);
  double mine = 0, total = 0;
  for (int i = begin; i < end; ++i) mine += expf(logit_of(keys[i]) / temperature - top);
  double before = sum_before(mine, sums, &total);
  if (threadIdx.x == 0) *kept = count;
  __syncthreads();
  const double most = total * static_cast<double>(top_p);
  for (int i = begin; i < end; ++i) {
    const double with = before + expf(logit_of(keys[i]) / temperature - top);
    if (i > 0 && (inclusive ? with : before) > most) {
      atomicMin(kept, i);
      break;
    }
    before = with;
  }
  __syncthreads();
  const int found = *kept;
  __syncthreads();
  return found;
}

// top-k with ties at the last place.
__device__ int ranks_of_top_k(const Key* keys, int count, float temperature, int top_k) {
  if (top_k <= 0 || top_k >= count) return count;
  const float bound = logit_of(keys[top_k - 1]) / temperature;
  int kept = top_k;
  while (kept < count && logit_of(keys[kept]) / temperature == bound) ++kept;
  return kept;
}

// One row of the problem, as pointers.
struct Line {
  float* logits;
  uint8_t* seen;
  const float* settings;
  const int32_t* rules;
  const float* noise;
};

__global__ void __launch_bounds__(kThreads) sample(Problem problem, const int32_t* part, int64_t step,
                                                   int64_t scratch_floats, int64_t logits_at, int padded) {
  extern __shared__ Key keys[];
  __shared__ double sums[kThreads];
  __shared__ Best bests[kThreads];
  __shared__ int kept;
  const int64_t row = blockIdx.x, batch = problem.batch, width = problem.shape.width;
  const int vocabulary = static_cast<int>(problem.shape.vocabulary);
  const int64_t at = row * problem.steps + step;
  int32_t* const state = problem.state + row;
  if (part[row] == kNone) {
    for (int64_t i = threadIdx.x; i < width; i += kThreads) problem.hiddens[at * width + i] = 0.0f;
    if (threadIdx.x == 0) {
      problem.tokens[at] = -1;
      problem.logprobs[at] = 0.0f;
    }
    return;
  }
  const Line line{problem.scratch + row * scratch_floats + logits_at, problem.seen + row * vocabulary,
                  problem.settings + row * kSettings, problem.rules + row * kRules,
                  problem.noise + (step * batch + row) * problem.noise_width};
  const float penalty = line.settings[kPenalty], top_p = line.settings[kTopP];
  const float temperature = fmaxf(line.settings[kTemperature], 1e-5f);
  const int top_k = line.rules[kTopK], end_token = line.rules[kEndToken];
  const bool early = state[kCount * batch] < line.rules[kMinTokens];

  bool nan = false;
  Best mine{0.0f, -1};
  for (int i = threadIdx.x; i < vocabulary; i += kThreads) {
    float logit = line.logits[i];
    nan = nan || logit != logit;
    if (penalty != 1.0f && line.seen[i] != 0) logit = logit < 0.0f ? logit * penalty : logit / penalty;
    if (early && i == end_token) logit = -INFINITY;
    line.logits[i] = logit;
    mine = better(mine, Best{logit, i});
  }
  nan = __syncthreads_or(nan) != 0;
  const Best best = best_of_block(mine, bests);
  const float top = best.value / temperature;

  Key last = ~Key{0};
  const bool filters = top_p < 1.0f || (top_k > 0 && top_k < vocabulary);
  if (filters) {
    for (int i = threadIdx.x; i < padded; i += kThreads) {
      keys[i] = i < vocabulary ? key_of(line.logits[i], i) : ~Key{0};
    }
    __syncthreads();
    sort(keys, padded);
    int count = vocabulary;
    if (line.rules[kTopPFirst] != 0) {
      if (top_p < 1.0f) count = ranks_of_top_p(keys, count, 1.0f, top_p, true, sums, &kept);
      count = ranks_of_top_k(keys, count, temperature, top_k);
    } else {
      count = ranks_of_top_k(keys, count, temperature, top_k);
      if (top_p < 1.0f) count = ranks_of_top_p(keys, count, temperature, top_p, false, sums, &kept);
    }
    last = keys[count - 1];
  }

  // Threads own neighbours, so that sums run in the order of the vocabulary.
  const int each = (vocabulary + kThreads - 1) / kThreads;
  const int begin = min(static_cast<int>(threadIdx.x) * each, vocabulary), end = min(begin + each, vocabulary);
  const auto weight = [&](int i) {
    const float logit = line.logits[i];
    return filters && key_of(logit, i) > last ? 0.0f : expf(logit / temperature - top);
  };
  double share = 0, total = 0;
  for (int i = begin; i < end; ++i) share += weight(i);
  double before = sum_before(share, sums, &total);
  Best won{0.0f, -1};
  if (problem.noise_width == 1) {
    const double wanted = static_cast<double>(line.noise[0]) * total;
    for (int i = begin; i < end; ++i) {
      const float some = weight(i);
      before += some;
      // The first whose sum passes; where rounding leaves none, the last that can be drawn.
      if (some > 0.0f) won = better(won, before > wanted ? Best{1.0f, i} : Best{-static_cast<float>(vocabulary - i), i});
    }
  } else {
    for (int i = begin; i < end; ++i) {
      const float some = weight(i);
      if (some > 0.0f && some / line.noise[i] >= 0.0f) won = better(won, Best{some / line.noise[i], i});
    }
  }
  won = best_of_block(won, bests);
  const bool failed = nan || won.index < 0;
  for (int64_t i = threadIdx.x; i < width; i += kThreads) {
    problem.hiddens[at * width + i] = failed ? 0.0f : problem.hidden[row * width + i];
  }
  if (threadIdx.x != 0) return;
  if (part[row] == kWhole) {
    ++state[kLength * batch];
    ++state[kPosition * batch];
  }
  problem.tokens[at] = failed ? -1 : won.index;
  problem.logprobs[at] =
      failed ? 0.0f : static_cast<float>(line.logits[won.index] / temperature - top - log(total));
  if (failed) {
    state[kDone * batch] = kFailed;
    return;
  }
  line.seen[won.index] = 1;
  state[kToken * batch] = won.index;
  const int count = ++state[kCount * batch];
  if (won.index == end_token || (line.rules[kEndOnArgmax] != 0 && best.index == end_token)) {
    state[kDone * batch] = kEnd;
  } else if (line.rules[kMaxTokens] > 0 && count >= line.rules[kMaxTokens]) {
    state[kDone * batch] = kLimit;
  }
}

}  // namespace

cudaError_t sample_cuda(const Problem& problem, const int32_t* part, int64_t step, cudaStream_t stream) {
  int padded = 2;
  while (padded < problem.shape.vocabulary) padded *= 2;
  const size_t bytes = padded * sizeof(Key);
  if (bytes > 32 * 1024) {
    const cudaError_t error =
        cudaFuncSetAttribute(sample, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
    if (error != cudaSuccess) return error;
  }
  const Scratch scratch(problem.shape);
  sample<<<static_cast<unsigned>(problem.batch), kThreads, bytes, stream>>>(problem, part, step, scratch.floats,
                                                                           scratch.logits, padded);
  return cudaGetLastError();
}

}  // namespace voiceclone::step
