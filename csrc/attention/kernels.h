// What the attention over a cache needs of an instruction set: three loops over keys that lie one after another.
#pragma once

#include "attention/attention.h"

namespace voiceclone::attention {

constexpr int64_t kChunk = 128;  // positions between two looks at the largest score
constexpr int64_t kLine = 64;    // bytes the processor fetches at once

// Memory that will be read next: fetched a few lines at a time, for the processor foresees no jump.
struct Ahead {
  const char* data;
  int64_t bytes;
};

// scores [count] = query . key. `query` is padded with zeros to kMaxDim; `keys` [count, dim] are of the cache's type.
using Scores = void (*)(const float* query, const void* keys, int64_t count, int64_t dim, float* scores, Ahead ahead);

// sum [dim] += weights [count] . values [count, dim], one position after another; `sum` has room for kMaxDim.
using Weigh = void (*)(const float* weights, const void* values, int64_t count, int64_t dim, float* sum, Ahead ahead);

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
