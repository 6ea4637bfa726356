// A ragged batch on the CPU: each head of each row first stores its new keys and values, then answers its queries.
#include "attention/attention.h"
#include "attention/numbers.h"

#include <algorithm>

namespace voiceclone::attention {
namespace {

void read(const Problem& problem, const Tokens& tokens, int64_t row, int64_t token, int64_t head, float* to) {
  const int64_t offset = row * tokens.row_stride + token * tokens.token_stride + head * tokens.head_stride;
  const int64_t dim = problem.cache.dim;
  if (problem.number == Number::float32) {
    std::copy_n(static_cast<const float*>(tokens.data) + offset, dim, to);
    return;
  }
  const auto* from = static_cast<const uint16_t*>(tokens.data) + offset;
  std::transform(from, from + dim, to, problem.number == Number::bfloat16 ? from_bfloat16 : from_float16);
}

void write(const Problem& problem, int64_t row, int64_t token, int64_t head, const float* from) {
  const Tokens& out = problem.out;
  const int64_t offset = row * out.row_stride + token * out.token_stride + head * out.head_stride;
  const int64_t dim = problem.cache.dim;
  if (problem.number == Number::float32) {
    std::copy_n(from, dim, static_cast<float*>(out.data) + offset);
    return;
  }
  auto* to = static_cast<uint16_t*>(out.data) + offset;
  std::transform(from, from + dim, to, problem.number == Number::bfloat16 ? to_bfloat16 : to_float16);
}

}  // namespace

void attend_batch_cpu(const Problem& problem, int64_t begin, int64_t end) {
  const Cache& cache = problem.cache;
  const int64_t group = problem.query_heads / cache.heads;
  float first[kMaxDim];
  float second[kMaxDim];
  for (int64_t pair = begin; pair < end; ++pair) {
    const int64_t b = pair / cache.heads;
    const int64_t head = pair % cache.heads;
    const Row row{problem.pages + b * problem.page_entries, problem.shared == nullptr ? 0 : problem.shared[b]};
    const int64_t length = problem.lengths[b];
    const int64_t count = problem.counts == nullptr ? problem.tokens : problem.counts[b];
    const int64_t prefix = problem.prefix == nullptr ? 0 : std::min<int64_t>(problem.prefix[b], length + count);
    const float* mask = problem.mask == nullptr ? nullptr : problem.mask + b * problem.mask_stride;
    for (int64_t t = 0; t < count; ++t) {
      read(problem, problem.key, b, t, head, first);
      read(problem, problem.value, b, t, head, second);
      append(cache, row, head, length + t, first, second);
    }
    const int64_t next = problem.tokens == 1 && group == 1 && head + 1 < cache.heads ? head + 1 : -1;
    for (int64_t query_head = head * group; query_head < (head + 1) * group; ++query_head) {
      for (int64_t t = 0; t < count; ++t) {
        read(problem, problem.query, b, t, query_head, first);
        attend(cache, row, head, std::max(length + t + 1, prefix), first, problem.scale, mask, second, next);
        write(problem, b, t, query_head, second);
      }
      std::fill_n(second, cache.dim, 0.0f);
      for (int64_t t = count; t < problem.tokens; ++t) write(problem, b, t, query_head, second);
    }
  }
}

}  // namespace voiceclone::attention
