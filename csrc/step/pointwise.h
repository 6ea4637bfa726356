// The work of a decode step between its matrix products: layer norm, activation, rounding rows, exponentials.
#pragma once

#include "step/linear.h"

#include <cstdint>

namespace voiceclone::step {

// out [count] = layer norm of x [count], in place or not.
void layer_norm(const float* x, const float* weight, const float* bias, int64_t count, float epsilon, float* out);

// x [count] = activation(x); the exact GELU's erf is good to 2e-7.
void activate(Activation activation, float* x, int64_t count);

// x [count] = exp(x - top).
void exponentials(float* x, int64_t count, float top);

// Rounds x[row] [inputs] to the format for all rows.
void round_rows(const float* const* x, int64_t inputs, Format format, const Rows& rows);

}  // namespace voiceclone::step
