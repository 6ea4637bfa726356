// The convolution of conv1d.h as templates over an instruction set and a type; included by one file an instruction set.
//
// An Isa gives: F (float vector), kWidth, kRows, zero/load/store/set1/add/sub/mul/max, and for each Type an `Acc`,
// `clear`, `dot(acc, unit, weights)`, `sum(acc, scale, zero)` and `put(target, value, multiply, offset)`.
#pragma once

#include "common/conv1d.h"

namespace voiceclone::conv1d {

// How a layer is cut so that a tile's inputs stay in the L2 cache and its sums in L1 or L2.
struct Tiling {
  int64_t superblocks;   // computed from one set of transformed inputs
  int64_t rows;          // rows of superblocks * dilation whose sums are held at once
  int64_t row_bytes;     // of a transformed input row
  int64_t point_bytes;   // of a transformed input tile
};

Tiling tiling(const Layer& layer);

#if VOICECLONE_CONV1D_KERNELS

template <class Isa, Type kType>
struct Kernel {
  using F = typename Isa::F;
  using Dot = typename Isa::template Dot<kType>;
  static constexpr int64_t kWidth = Isa::kWidth;
  static constexpr int64_t kUnit = kType == Type::float32 ? 1 : kType == Type::bfloat16 ? 2 : 4;  // inputs in 4 bytes
  static constexpr int64_t kSize = 4 / kUnit;                                                     // bytes of an input

  static F activate(F v, F slope) { return Isa::max(v, Isa::mul(v, slope)); }
  static F load_active(const float* p, F slope) { return activate(Isa::load(p), slope); }

  static void put(const Layer& layer, uint8_t* v, const Tiling& tile, int64_t point, int64_t channel, F value) {
    const int64_t at = point * layer.in + channel;
    Dot::put(v + point * tile.point_bytes + channel * kSize, value, layer.multiply + at, layer.offset + at);
  }

  // Superblocks [first, last) of x as sums, row (superblock - first) * dilation + phase of each point.
  static void transform(const Layer& layer, const Run& run, const Tiling& tile, int64_t first, int64_t last, uint8_t* v) {
    const int64_t d = layer.dilation;
    const F slope = Isa::set1(run.slope);
    if (layer.block == 1) {
      for (int64_t row = 0; row < (last - first) * d; ++row) {
        const float* x = run.x + (first * d + row - layer.left) * run.x_stride;
        for (int64_t c = 0; c < layer.in; c += kWidth) {
          put(layer, v + row * tile.row_bytes, tile, 0, c, load_active(x + c, slope));
        }
      }
      return;
    }
    const int64_t step = d * run.x_stride;
    for (int64_t phase = 0; phase < d; ++phase) {
      for (int64_t c = 0; c < layer.in; c += kWidth) {
        const float* x = run.x + (first * layer.span() + phase - layer.left) * run.x_stride + c;
        F x0 = load_active(x, slope), x1 = load_active(x + step, slope), x2 = load_active(x + 2 * step, slope);
        for (int64_t q = first; q < last; ++q, x += 4 * step) {
          const F x3 = load_active(x + 3 * step, slope), x4 = load_active(x + 4 * step, slope);
          const F x5 = load_active(x + 5 * step, slope), x6 = load_active(x + 6 * step, slope);
          uint8_t* row = v + ((q - first) * d + phase) * tile.row_bytes;
          const F a0 = Isa::sub(x0, x2), a1 = Isa::sub(x1, x3), a2 = Isa::sub(x2, x4);
          const F b1 = Isa::sub(x5, x3), b2 = Isa::sub(x6, x4);
          put(layer, row, tile, 0, c, Isa::sub(a0, a1));
          put(layer, row, tile, 1, c, a1);
          put(layer, row, tile, 2, c, Isa::sub(a2, a1));
          put(layer, row, tile, 3, c, Isa::sub(x2, x3));
          put(layer, row, tile, 4, c, x3);
          put(layer, row, tile, 5, c, Isa::sub(x4, x3));
          put(layer, row, tile, 6, c, Isa::sub(Isa::sub(x4, x2), b1));
          put(layer, row, tile, 7, c, b1);
          put(layer, row, tile, 8, c, Isa::sub(b2, b1));
          x0 = x4, x1 = x5, x2 = x6;
        }
      }
    }
  }

  struct Panel {
    const uint8_t* inputs;  // first row of a point
    int64_t row_bytes, piece_bytes;
    const uint8_t* weights;
    int64_t weight_bytes;  // from one unit to the next
    int64_t units, pieces;
    const float* scale;
    const int32_t* zero;
    float* sums;  // [row][kPanel]
  };

  // kRows rows times kVectors vectors of outputs, summed in registers over all pieces and inputs.
  template <int kRows, int kVectors>
  static void multiply(const Panel& panel, int64_t row, int64_t output) {
    typename Dot::Acc acc[kRows][kVectors];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int n = 0; n < kVectors; ++n) acc[r][n] = Dot::clear();
    }
    const int64_t stride = panel.row_bytes;
    const uint8_t* w = panel.weights + output * 4;
    for (int64_t piece = 0; piece < panel.pieces; ++piece) {
      // One base for three rows: an address is base + stride * {0, 1, 2}.
      const uint8_t* base[(kRows + 2) / 3];
#pragma GCC unroll 8
      for (int b = 0; b < (kRows + 2) / 3; ++b) {
        base[b] = panel.inputs + (row + 3 * b) * stride + piece * panel.piece_bytes;
      }
      for (int64_t unit = 0; unit < panel.units; ++unit, w += panel.weight_bytes) {
        typename Dot::Weights weights[kVectors];
#pragma GCC unroll 4
        for (int n = 0; n < kVectors; ++n) weights[n] = Dot::load(w + n * kWidth * 4);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
          const typename Dot::Inputs x = Dot::broadcast(base[r / 3] + (r % 3) * stride + unit * 4);
#pragma GCC unroll 4
          for (int n = 0; n < kVectors; ++n) acc[r][n] = Dot::dot(acc[r][n], x, weights[n]);
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int n = 0; n < kVectors; ++n) {
        const int64_t o = output + n * kWidth;
        Isa::store(panel.sums + (row + r) * kPanel + o, Dot::sum(acc[r][n], panel.scale + o, panel.zero + o));
      }
    }
  }

  template <int kVectors>
  static void multiply_rows(const Panel& panel, int64_t rows, int64_t output) {
    constexpr int kMost = Isa::template rows<kType>();
    int64_t row = 0;
    for (; row + kMost <= rows; row += kMost) multiply<kMost, kVectors>(panel, row, output);
    if constexpr (kMost > 8) {
      if (row + 8 <= rows) multiply<8, kVectors>(panel, row, output), row += 8;
    }
    if constexpr (kMost > 4) {
      if (row + 4 <= rows) multiply<4, kVectors>(panel, row, output), row += 4;
    }
    if (row + 2 <= rows) multiply<2, kVectors>(panel, row, output), row += 2;
    if (row + 1 <= rows) multiply<1, kVectors>(panel, row, output);
  }

  // Rows [begin, end) of a tile that starts at superblock `first`: outputs from sums of all points.
  static void finish(const Layer& layer, const Run& run, int64_t first, int64_t begin, int64_t end, int64_t panel,
                     int64_t width, const float* sums, int64_t point_floats) {
    const int64_t d = layer.dilation;
    for (int64_t row = begin; row < end; ++row) {
      const int64_t t = layer.span() * (first + row / d) + row % d;
      const float* s = sums + (row - begin) * kPanel;
      for (int64_t n = 0; n < width; n += kWidth) {
        const int64_t o = panel + n;
        const F bias = Isa::load(layer.bias + o);
        float* y = run.y + t * run.y_stride + o;
        const float* more = run.residual + t * run.residual_stride + o;
        const auto write = [&](int64_t i, F value) {
          value = Isa::add(value, bias);
          if (run.residual != nullptr) value = Isa::add(value, Isa::load(more + i * d * run.residual_stride));
          Isa::store(y + i * d * run.y_stride, value);
        };
        const auto sum = [&](int64_t point) { return Isa::load(s + point * point_floats + n); };
        if (layer.block == 1) {
          write(0, sum(0));
          continue;
        }
        const F middle0 = Isa::add(sum(3), sum(4)), middle1 = Isa::add(sum(4), sum(5));
        write(0, Isa::add(Isa::add(sum(0), sum(1)), middle0));
        write(1, Isa::add(Isa::add(sum(1), sum(2)), middle1));
        const bool both = layer.pieces(8) > 0;
        const F high = layer.pieces(7) > 0 ? sum(7) : Isa::set1(0.0f);
        write(2, Isa::add(Isa::add(layer.pieces(6) > 0 ? sum(6) : Isa::set1(0.0f), high), middle0));
        write(3, Isa::add(both ? Isa::add(high, sum(8)) : high, middle1));
      }
    }
  }

  static void run(const Layer& layer, const Run& run, void* scratch) {
    const Tiling tile = tiling(layer);
    const int64_t d = layer.dilation, points = layer.points(), units = layer.in / kUnit;
    uint8_t* v = static_cast<uint8_t*>(scratch);
    float* sums = reinterpret_cast<float*>(v + points * tile.point_bytes);
    const int64_t point_floats = tile.rows * kPanel;
    for (int64_t first = run.first; first < run.last; first += tile.superblocks) {
      const int64_t last = first + tile.superblocks < run.last ? first + tile.superblocks : run.last;
      transform(layer, run, tile, first, last + layer.pieces() - 1, v);
      const uint8_t* weights = static_cast<const uint8_t*>(layer.weights);
      for (int64_t o = 0; o < layer.out; o += kPanel) {
        const int64_t width = layer.out - o < kPanel ? layer.out - o : kPanel;
        const uint8_t* panel_weights = weights;
        for (int64_t begin = 0; begin < (last - first) * d; begin += tile.rows) {
          const int64_t rows = (last - first) * d - begin < tile.rows ? (last - first) * d - begin : tile.rows;
          weights = panel_weights;
          for (int64_t point = 0; point < points; ++point) {
            const int64_t at = point * layer.out + o;
            Panel panel{v + point * tile.point_bytes + begin * tile.row_bytes,
                        tile.row_bytes,
                        d * tile.row_bytes,
                        weights,
                        width * 4,
                        units,
                        layer.pieces(point),
                        layer.scale + at,
                        layer.zero + at,
                        sums + point * point_floats};
            weights += units * width * 4 * panel.pieces;
            if (panel.pieces == 0) continue;
            int64_t n = 0;
            for (; n + 2 * kWidth <= width; n += 2 * kWidth) multiply_rows<2>(panel, rows, n);
            if (n < width) multiply_rows<1>(panel, rows, n);
          }
          finish(layer, run, first, begin, begin + rows, o, width, sums, point_floats);
        }
      }
    }
  }
};

#endif  // VOICECLONE_CONV1D_KERNELS

using Function = void (*)(const Layer&, const Run&, void*);

#if defined(__x86_64__)
Function avx2_kernel(Type type);
Function avx512_kernel();       // float32
Function avx512_bf16_kernel();  // bfloat16
Function avx512_vnni_kernel();  // int8
#endif
Function plain_kernel(Type type);

}  // namespace voiceclone::conv1d
