// HiFi-GAN's residual blocks on raw pointers: the mean of several chains of convolutions over one signal.
//
// A block of kind 1 is pairs of convolutions, x += conv2(act(conv1(act(x)))), one of kind 2 single ones, x += conv(act(x)).
#pragma once

#include "common/conv_chain.h"

#include <cstdint>
#include <vector>

namespace voiceclone::resblock {

struct Problem {
  const float* x;  // [batch, time, channels] contiguous
  float* y;        // the same shape
  int64_t batch, time, channels;
  int64_t start;  // number of the first row: rows of one signal, given in pieces, are numbered through
  float slope;
  std::vector<std::vector<conv1d::Link>> blocks;
};

// Rows [begin, end) of sample `sample`.
void run_cpu(const Problem& problem, int64_t sample, int64_t begin, int64_t end);

// Enqueues on `stream`; float32 direct layers only. `workspace` holds 2 * batch * time * channels floats.
// Returns an error's text, or nullptr.
const char* run_cuda(const Problem& problem, float* workspace, void* stream);

}  // namespace voiceclone::resblock
