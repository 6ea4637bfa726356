// What the CUDA files of a decode step share.
#pragma once

#include "step/linear.h"
#include "step/step.h"

#include <cuda_runtime.h>

namespace voiceclone::step {

// What a row takes part in, found at the beginning of each step.
enum Part : int32_t { kNone, kHeadOnly, kWhole };

// out = W (normed x) + b, or its activation, or that plus a residual; all pointers on the device.
struct Linear {
  const uint8_t* words;
  const float* bias;
  const float* scale;
  int outputs, inputs, padded_inputs;
  const float* x;  // of row 0; `x_stride` floats from row to row, and so on
  int64_t x_stride;
  const float* norm_weight;  // null: x as it is
  const float* norm_bias;
  float epsilon;
  float* normed;  // where the first block leaves the normed rows, or null
  int64_t normed_stride;
  float* out;
  int64_t out_stride;
  const float* residual;  // added to the result, or null
  int64_t residual_stride;
  bool activate;
  Activation activation;
  const int32_t* part;  // of each row
  int32_t needed;       // least part of a row that takes part here
  int batch;
};

cudaError_t linear_cuda(const Linear& work, Format format, cudaStream_t stream);

// The last phase of a step: one block a row draws, and updates the row's state. `part` [batch] as above.
cudaError_t sample_cuda(const Problem& problem, const int32_t* part, int64_t step, cudaStream_t stream);

// The largest vocabulary that sample_cuda can rank in shared memory.
constexpr int64_t kMostVocabulary = 8192;

#ifdef __CUDACC__
__device__ inline float sum_of_warp(float value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(~0u, value, offset);
  return value;
}

// Statistics of x [count] by one warp.
__device__ inline void mean_and_scale(const float* x, int count, float epsilon, float* mean, float* scale) {
  const int lane = threadIdx.x % 32;
  float sum = 0.0f;
  for (int i = lane; i < count; i += 32) sum += x[i];
  *mean = sum_of_warp(sum) / static_cast<float>(count);
  sum = 0.0f;
  for (int i = lane; i < count; i += 32) sum += (x[i] - *mean) * (x[i] - *mean);
  *scale = 1.0f / sqrtf(sum_of_warp(sum) / static_cast<float>(count) + epsilon);
}
#endif

}  // namespace voiceclone::step
