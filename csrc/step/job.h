// One phase of a step as chunks that any thread may compute: tiles of a matrix product, or heads of attention.
#pragma once

#include "attention/attention.h"
#include "step/linear.h"
#include "step/step.h"

#include <algorithm>
#include <cstdint>

namespace voiceclone::step {

enum class Then : int32_t { store, add, activate };

// Computing a chunk only reads what outlives the op and writes to a buffer of the thread; `commit` moves it to the
// tensors. So a thread that comes late can do no harm, even where it reads what has changed meanwhile.
struct Job {
  enum class Kind : int32_t { linear, attend };
  Kind kind;
  Then then;
  int64_t chunks;
  const int32_t* rows;  // rows of the batch that run
  float* out;           // of row 0; `out_stride` floats from row to row
  int64_t out_stride;

  // linear
  Format format;
  Activation activation;
  Matrix matrix;
  Rows input;
  int64_t tiles;  // of a chunk

  // attend
  const Problem* problem;
  attention::Cache cache;
  int64_t heads;         // of a chunk
  int64_t head_chunks;   // of a row
  const float* queries;  // of row 0; `query_stride` floats from row to row
  int64_t query_stride;

  void compute(int64_t chunk, float* buffer) const;
  void commit(int64_t chunk, float* buffer) const;
};

Job linear_job(const Matrix& matrix, Format format, Activation activation, const Rows& input, const int32_t* rows,
               float* out, int64_t out_stride, Then then);

Job attend_job(const Problem& problem, const attention::Cache& cache, const int32_t* rows, int64_t count,
               const float* queries, float* out, int64_t stride);

}  // namespace voiceclone::step
