// Convolution layers: their geometry, how they are cut into tiles, and which kernel this processor runs.
#include "common/conv1d.h"

#include "common/conv1d_kernel.h"
#include "common/cpu.h"

#include <algorithm>

namespace voiceclone::conv1d {
namespace {

// Parts of a 1 MiB L2 cache: transformed inputs, and one panel's weights where they are to stay while rows pass.
constexpr int64_t kInputBytes = 384 << 10;
constexpr int64_t kWeightBytes = 192 << 10;
constexpr int64_t kFewRows = 24, kManyRows = 96;

constexpr int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

Function kernel(Type type) {
#if VOICECLONE_X86
  if (best_level() == CpuLevel::avx512) {
    if (type == Type::float32) return avx512_kernel();
    if (type == Type::bfloat16 && has_avx512_bf16()) return avx512_bf16_kernel();
    if (type == Type::int8 && has_avx512_vnni()) return avx512_vnni_kernel();
  }
  if (best_level() != CpuLevel::plain) return avx2_kernel(type);
#endif
  return plain_kernel(type);
}

}  // namespace

int64_t Layer::pieces(int64_t point) const {
  if (block == 1) return pieces();
  // The lowest of a piece's four taps that the point's weight sum contains.
  const int64_t lowest = (point / 3 == 2 ? 2 : 0) + (point % 3 == 2 ? 1 : 0);
  const int64_t rest = taps - block * (pieces() - 1);
  return pieces() - 1 + (lowest < rest ? 1 : 0);
}

int64_t Layer::weight_bytes() const {
  int64_t all = 0;
  for (int64_t point = 0; point < points(); ++point) all += pieces(point);
  return all * in / unit() * 4 * out;
}

int64_t Layer::superblocks(int64_t end) const {
  return floor_div(end + left - (2 * block - 1) * dilation, span()) - pieces() + 2;
}

Tiling tiling(const Layer& layer) {
  Tiling tile{};
  tile.row_bytes = layer.in * 4 / layer.unit();
  // Rows a power of two apart would share few cache sets.
  if (tile.row_bytes % 512 == 0) tile.row_bytes += kAlign;
  const int64_t d = layer.dilation, halo = (layer.pieces() - 1) * d;
  const int64_t fit = kInputBytes / (layer.points() * tile.row_bytes) - halo;
  // Whole groups of twelve rows leave no remainder for the register tiles.
  const int64_t rows = std::max<int64_t>(48, fit / 12 * 12);
  tile.superblocks = std::max<int64_t>(1, round_up(rows, d) / d);
  tile.point_bytes = round_up((tile.superblocks * d + halo) * tile.row_bytes, kAlign);
  const int64_t panels = (layer.out + kPanel - 1) / kPanel;
  const int64_t rows_at_once = layer.weight_bytes() / panels <= kWeightBytes ? kFewRows : kManyRows;
  tile.rows = std::min(rows_at_once, tile.superblocks * d);
  return tile;
}

int64_t scratch_bytes(const Layer& layer) {
  const Tiling tile = tiling(layer);
  return layer.points() * (tile.point_bytes + tile.rows * kPanel * int64_t{sizeof(float)});
}

void run(const Layer& layer, const Run& run, void* scratch) { kernel(layer.type)(layer, run, scratch); }

}  // namespace voiceclone::conv1d
