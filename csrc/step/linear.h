// y = W x + b for a few rows x against one packed matrix: the product that decoding is made of.
//
// Each output of each row is one chain of sums along the inputs, in the same order for any number of rows, so that a row's
// result never depends on its neighbours. Rows are rounded to the matrix's format first: bfloat16, or int8 with a scale
// for each 128 inputs.
#pragma once

#include "step/layout.h"

#include <cstdint>

namespace voiceclone::step {

struct Matrix {
  const uint8_t* words;
  const float* bias;
  const float* scale;  // int8 only
  int64_t outputs, inputs, padded_inputs;
  int64_t tile_bytes;
};

inline Matrix matrix_at(const uint8_t* weights, const MatrixAt& at, Format format) {
  return {weights + at.words,
          reinterpret_cast<const float*>(weights + at.bias),
          reinterpret_cast<const float*>(weights + at.scale),
          at.outputs,
          at.inputs,
          at.padded_inputs(),
          at.padded_inputs() * kTile * bytes_per_weight(format)};
}

// Rows in the format of the matrix; `row_bytes` apart, zero past the inputs.
struct Rows {
  uint8_t* data;
  float* scale;   // [rows, groups], int8 only
  int32_t* sum;   // [rows, groups], int8 only: -128 times the sum of a group
  int64_t count;
  int64_t row_bytes;
  int64_t groups;
};

// Tiles [begin, end) of all rows: out[row * stride + output - begin * 32], scaled and with the bias; padded outputs too.
void linear_cpu(const Matrix& matrix, Format format, const Rows& rows, int64_t begin, int64_t end, float* out,
                int64_t stride);

namespace detail {
using Kernel = void (*)(const Matrix&, const Rows&, int64_t begin, int64_t end, float* out, int64_t stride);
Kernel avx512_kernel(Format format);  // nullptr where this processor lacks what the format needs
Kernel avx2_kernel(Format format);
Kernel plain_kernel(Format format);
}  // namespace detail

}  // namespace voiceclone::step
