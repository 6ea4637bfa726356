// Chunks of a phase on the CPU: cut so that each takes some microseconds, whatever the phase.
#include "step/job.h"

#include "step/pointwise.h"

#include <cmath>

namespace voiceclone::step {
namespace {

// A chunk reads about this much of the weights: long enough to be worth handing over, short enough to balance.
constexpr int64_t kChunkBytes = int64_t{128} << 10;
constexpr int64_t kMostTiles = 8;
constexpr int64_t kAttendChunks = 8;

}  // namespace

int64_t buffer_floats(const Problem& problem) {
  return std::max(problem.batch * kMostTiles * kTile, problem.shape.width);
}

Job linear_job(const Matrix& matrix, Format format, Activation activation, const Rows& input, const int32_t* rows,
               float* out, int64_t out_stride, Then then) {
  Job job{};
  job.kind = Job::Kind::linear;
  job.then = then;
  job.tiles = std::clamp<int64_t>(kChunkBytes / matrix.tile_bytes, 1, kMostTiles);
  const int64_t tiles = round_up(matrix.outputs, kTile) / kTile;
  job.chunks = (tiles + job.tiles - 1) / job.tiles;
  job.rows = rows;
  job.out = out;
  job.out_stride = out_stride;
  job.format = format;
  job.activation = activation;
  job.matrix = matrix;
  job.input = input;
  return job;
}

Job attend_job(const Problem& problem, const attention::Cache& cache, const int32_t* rows, int64_t count,
               const float* queries, float* out, int64_t stride) {
  Job job{};
  job.kind = Job::Kind::attend;
  job.then = Then::store;
  const int64_t heads = problem.shape.heads;
  job.heads = std::clamp<int64_t>(heads * count / kAttendChunks, 1, heads);
  job.head_chunks = (heads + job.heads - 1) / job.heads;
  job.chunks = count * job.head_chunks;
  job.rows = rows;
  job.out = out;
  job.out_stride = stride;
  job.problem = &problem;
  job.cache = cache;
  job.queries = queries;
  job.query_stride = stride;
  return job;
}

void Job::compute(int64_t chunk, float* buffer) const {
  if (kind == Kind::linear) {
    const int64_t begin = chunk * tiles, all = round_up(matrix.outputs, kTile) / kTile;
    linear_cpu(matrix, format, input, begin, std::min(begin + tiles, all), buffer, tiles * kTile);
    return;
  }
  const int64_t row = rows[chunk / head_chunks], dim = problem->shape.head_dim();
  const int64_t begin = chunk % head_chunks * heads, end = std::min(begin + heads, problem->shape.heads);
  const attention::Row place{problem->pages + row * problem->page_entries,
                             problem->shared == nullptr ? 0 : problem->shared[row]};
  const int64_t visible = problem->state[kLength * problem->batch + row] + 1;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  for (int64_t head = begin; head < end; ++head) {
    attention::attend(cache, place, head, visible, queries + row * query_stride + head * dim, scale, nullptr,
                      buffer + (head - begin) * dim, head + 1 < end ? head + 1 : -1);
  }
}

void Job::commit(int64_t chunk, float* buffer) const {
  if (kind == Kind::attend) {
    const int64_t dim = problem->shape.head_dim(), begin = chunk % head_chunks * heads;
    const int64_t end = std::min(begin + heads, problem->shape.heads);
    std::copy_n(buffer, (end - begin) * dim, out + rows[chunk / head_chunks] * out_stride + begin * dim);
    return;
  }
  const int64_t begin = chunk * tiles * kTile, count = std::min(tiles * kTile, matrix.outputs - begin);
  for (int64_t i = 0; i < input.count; ++i) {
    float* from = buffer + i * tiles * kTile;
    float* to = out + rows[i] * out_stride + begin;
    if (then == Then::add) {
      for (int64_t j = 0; j < count; ++j) to[j] += from[j];
      continue;
    }
    if (then == Then::activate) activate(activation, from, count);
    std::copy_n(from, count, to);
  }
}

}  // namespace voiceclone::step
