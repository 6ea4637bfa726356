// What the attention over a cache needs of an instruction set: three loops over keys that lie one after another.
#pragma once

#include "attention/attention.h"

namespace voiceclone::attention {

// Positions between two looks at the largest score; long, for each change from keys to values interrupts the stream that
// the processor fetches ahead. (Prefetch instructions were tried at many distances, and cost more than they brought.)
constexpr int64_t kChunk = 1024;
constexpr int64_t kLanes = 16;   // scores are padded to a multiple of this

// scores [count] = query . key. `query` is padded with zeros to kMaxDim; `keys` [count, dim] are of the cache's type.
// What follows the scores may be overwritten up to a multiple of kLanes.
using Scores = void (*)(const float* query, const void* keys, int64_t count, int64_t dim, float* scores);

// The weighted sum of values so far, padded to kMaxDim: the sum of both lines. Values of odd positions may go to the
// second one: two chains of additions are faster than one, and which is chosen depends on nothing but the position.
struct Sum {
  alignas(64) float of[2][kMaxDim];
};

// sum += weights [count] . values [count, dim], one position after another; `odd` tells of the first one's position.
using Weigh = void (*)(const float* weights, const void* values, int64_t count, int64_t dim, bool odd, Sum& sum);

// `scores` are aligned to 64 bytes, `count` is a multiple of kLanes; -inf stands for no key.
struct Softmax {
  // The largest of `scores` and `top`; NaN never is.
  float (*largest)(const float* scores, int64_t count, float top);
  // scores = exp(scores - top); returns their sum.
  float (*exponentials)(float* scores, int64_t count, float top);
};

struct Kernels {
  Scores scores;
  Weigh weigh;
  Softmax softmax;
};

Kernels plain_kernels(Number number);
Kernels avx2_kernels(Number number);
Kernels avx512_kernels(Number number);

}  // namespace voiceclone::attention
