// A WaveNet with gates, and a residual coupling layer around it, on raw pointers; channels last.
//
//   WaveNet, h = x, for each layer l:  g = in_l * h + condition_l,  a = tanh(g[:H]) sigmoid(g[H:])
//                                      h = h + res_l a  (but for the last layer),  y += skip_l a
//   Coupling: (m, logs) = post y(pre x0);  forward  x1 exp(logs) + m,  reverse  (x1 - m) exp(-logs);  x0 stays.
//
// Frames from a sample's length on count as zeros and come out as zeros; they are never read. A frame's bits depend on its
// place and on the frames around it alone: not on the batch, on threads, or on how time was cut into segments.
#pragma once

#include "common/conv1d.h"

#include <cstdint>

namespace voiceclone::coupling {

// Convolutions in the order they run; all but the first of each layer have one tap. Channels are padded to conv1d::kLanes,
// halves (tanh and sigmoid, m and logs) each by itself.
struct Stack {
  const conv1d::Layer* layers;  // in, res, skip of each layer; the last one has no res
  int64_t count;                // layers of the WaveNet
  int64_t hidden;               // H, unpadded

  const conv1d::Layer& in(int64_t layer) const { return layers[3 * layer]; }
  const conv1d::Layer& res(int64_t layer) const { return layers[3 * layer + 1]; }
  const conv1d::Layer& skip(int64_t layer) const { return layers[3 * layer + (layer + 1 < count ? 2 : 1)]; }
};

struct Signal {
  const float* x;  // [batch, frames, channels] with the strides below, in elements
  int64_t batch, frames, channels;
  int64_t batch_stride, frame_stride, channel_stride;
  const int32_t* lengths;  // [batch], clamped to 0..frames
  const float* condition;  // [batch, 1 or frames, layers * 2 * hidden], or nullptr
  int64_t condition_batch_stride, condition_frame_stride;  // the latter 0 where all frames share one
  float* y;  // [batch, frames, channels], dense

  int64_t length(int64_t sample) const {
    const int64_t length = lengths[sample];
    return length < 0 ? 0 : length < frames ? length : frames;
  }
};

struct Coupling {
  const conv1d::Layer* pre;
  const conv1d::Layer* post;
  bool mean_only;
  bool swapped;  // the second half of the channels is read, the first is changed
  bool reverse;
  float* log_scale;  // [batch, frames]: each frame's sum of what was put into exp()
};

// Frames [begin, end) of one sample; begin must be a multiple of segment_step().
struct Segment {
  int64_t sample, begin, end;
};

// Frames to either side of a segment that its bits depend on.
int64_t segment_halo(const Stack& stack);
// What a segment's start must be a multiple of.
int64_t segment_step(const Stack& stack);

void wavenet_cpu(const Stack& stack, const Signal& signal, const Segment& segment);
void coupling_cpu(const Stack& stack, const Signal& signal, const Coupling& coupling, const Segment& segment);

// Floats of device memory that the functions below need.
int64_t cuda_workspace_floats(const Stack& stack, const Signal& signal);

// Enqueue on `stream`; return an error's text, or nullptr. `logdet` [batch]; coupling.log_scale is not used.
const char* wavenet_cuda(const Stack& stack, const Signal& signal, float* workspace, void* stream);
const char* coupling_cuda(const Stack& stack, const Signal& signal, const Coupling& coupling, float* workspace,
                          float* logdet, void* stream);

}  // namespace voiceclone::coupling
