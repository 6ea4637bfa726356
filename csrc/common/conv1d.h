// 1-D convolution over channels-last rows with packed weights: the microkernel under vocoders, couplings and WaveNets.
//
//   y[t][o] = bias[o] + residual[t][o] + sum over taps j, channels i of w[o][i][j] * act(x[t + j * dilation - left][i])
//   act(v) = v >= 0 ? v : slope * v
//
// Rows are float32 and padded to a multiple of 16 channels. Where block is 4, four outputs that lie `dilation` apart are
// made from nine products instead of sixteen (Karatsuba's rule twice, sums of 1 and -1 only): taps are cut into pieces
// of four; x is turned into nine sums a block, products of a point are summed over pieces and channels, and y is put
// together from nine sums. Products are float32, bfloat16 or uint8 x int8; all sums are float32 or int32.
//
// A block starts at a multiple of 4 * dilation of the row index t, and the order of every sum is fixed, so a row's bits
// depend on t and x alone: neither on where a caller's tile starts nor on how many rows a call computes.
#pragma once

#include <cstdint>

namespace voiceclone::conv1d {

enum class Type : int32_t { float32 = 0, bfloat16 = 1, int8 = 2 };

constexpr int64_t kLanes = 16;   // channels are padded to this
constexpr int64_t kPanel = 32;   // output channels that are computed together
constexpr int64_t kBlock = 4;     // outputs that are computed together where a layer is not direct
constexpr int64_t kPoints = 9;    // products of such a block
constexpr int64_t kAlign = 64;   // bytes: packed weights, scratch

constexpr int64_t padded(int64_t channels) { return (channels + kLanes - 1) / kLanes * kLanes; }

// One layer's shape and packed weights (voiceclone/ops/packing.py lays them out).
struct Layer {
  Type type = Type::float32;
  int64_t in = 0, out = 0;  // padded channels
  int64_t taps = 1, dilation = 1;
  int64_t left = 0;   // rows before t that the first tap reads
  int64_t block = 1;  // 1: direct, 4: nine products a block
  // [panel of 32 or, at the end, 16 outputs][point][piece][unit of 4 bytes of inputs][output]
  const void* weights = nullptr;
  const float* bias = nullptr;  // [out]
  // int8 only: input = quantised(x * multiply + offset) [points][in]; sum = (sum - zero) * scale [points][out]
  const float* multiply = nullptr;
  const float* offset = nullptr;
  const float* scale = nullptr;
  const int32_t* zero = nullptr;

  int64_t points() const { return block == 1 ? 1 : kPoints; }
  // Outputs of a superblock: `block` outputs of each of `dilation` interleaved sequences.
  int64_t span() const { return block * dilation; }
  int64_t pieces() const { return (taps + block - 1) / block; }
  // Pieces with a weight that is not zero by construction: the last piece may lack taps.
  int64_t pieces(int64_t point) const;
  int64_t unit() const { return type == Type::float32 ? 1 : type == Type::bfloat16 ? 2 : 4; }
  int64_t weight_bytes() const;
  // Input rows [begin, end) that superblocks [first, last) read.
  int64_t input_begin(int64_t first) const { return span() * first - left; }
  int64_t input_end(int64_t last) const { return span() * (last + pieces() - 2) + (2 * block - 1) * dilation - left; }
  // The last superblock, exclusive, that input rows below `end` allow.
  int64_t superblocks(int64_t end) const;
};

struct Run {
  const float* x = nullptr;  // row t is at x + t * x_stride, also for negative t; rows outside a signal hold zeros
  int64_t x_stride = 0;
  float* y = nullptr;
  int64_t y_stride = 0;
  const float* residual = nullptr;  // or nullptr
  int64_t residual_stride = 0;
  float slope = 1.0f;  // of the leaky ReLU on x; 1: none
  int64_t first = 0, last = 0;  // superblocks: rows [first, last) * span()
};

// Bytes of scratch memory, aligned to kAlign, that run() needs.
int64_t scratch_bytes(const Layer& layer);

// Computes all rows of superblocks [first, last).
void run(const Layer& layer, const Run& run, void* scratch);

}  // namespace voiceclone::conv1d
