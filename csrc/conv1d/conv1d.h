// One convolution on raw pointers, channels last, with what a vocoder needs around it: leaky ReLU before, tanh after.
//
// It also upsamples: a transposed convolution of stride s is a convolution with s times as many outputs, whose row u
// holds rows u * s .. u * s + s - 1 of the upsampled signal one after another.
#pragma once

#include "common/conv_chain.h"

#include <cstdint>

namespace voiceclone::conv1d {

struct Problem {
  const float* x;  // [batch, time, channels] contiguous
  float* y;        // [batch, time, outputs]
  int64_t batch, time, channels, outputs;
  int64_t start;  // number of the first row
  float slope;
  bool tanh;
  Link link;
};

// Rows [begin, end) of sample `sample`.
void run_cpu(const Problem& problem, int64_t sample, int64_t begin, int64_t end);

// Enqueues on `stream`; float32 direct layers only. Returns an error's text, or nullptr.
const char* run_cuda(const Problem& problem, void* stream);

}  // namespace voiceclone::conv1d
