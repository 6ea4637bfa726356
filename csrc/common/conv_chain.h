// A chain of convolutions that passes over a long signal in tiles: what a layer leaves stays in the cache for the next.
//
// Each layer runs as far as its inputs reach, so nothing is computed twice; rows outside the signal are zeros to every
// layer. Rows are numbered from the start of the whole signal, so results do not depend on the piece that is given.
#pragma once

#include "common/conv1d.h"

#include <cstdint>
#include <vector>

namespace voiceclone::conv1d {

struct Link {
  Layer layer;
  // The line that is added to the layer's result: 0 is the chain's input, n what layer n - 1 leaves; -1: none.
  int64_t residual = -1;
};

struct Signal {
  const float* x = nullptr;  // [time, channels] contiguous, row 0 is number `start`
  int64_t start = 0, time = 0, channels = 0;
  float slope = 1.0f;  // of the leaky ReLU before each layer
};

// Takes rows [t, t + rows), numbered as the signal's, in order.
class Sink {
 public:
  virtual void take(int64_t t, int64_t rows, const float* data, int64_t stride) = 0;

 protected:
  ~Sink() = default;
};

// Sends rows [begin, end) of the last layer to `sink`; they must lie within the signal.
void run_chain(const std::vector<Link>& links, const Signal& signal, int64_t begin, int64_t end, Sink& sink);

// Integers of one layer in a spec: type, in, out, taps, dilation, left, block, offsets of weights and constants.
constexpr int64_t kLayerFields = 9;

// Reads a layer from its integers and the packed bytes; returns what is wrong, or nullptr.
const char* parse_layer(const int64_t* fields, const uint8_t* blob, int64_t bytes, Layer* layer);

}  // namespace voiceclone::conv1d
