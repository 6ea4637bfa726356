// One convolution layer on a GPU: direct, float32, for any channels, taps and dilation.
#pragma once

#include "common/conv1d.h"

namespace voiceclone::conv1d {

struct CudaRun {
  const float* x;  // [batch, time, inputs]
  float* y;        // [batch, time, outputs]
  const float* residual;  // as y, or nullptr; may be y itself
  int64_t batch, time, inputs, outputs;
  float slope;    // of the leaky ReLU on x
  bool tanh;      // of the result
  bool add;       // to y instead of replacing it
  float divisor;  // of the result; 1: none
};

// Enqueues on `stream`; returns an error's text, or nullptr.
const char* launch(const Layer& layer, const CudaRun& run, void* stream);

}  // namespace voiceclone::conv1d
