// Attention over a KV cache: every type and dimension, pages of any size, shared prefixes, rows with nothing.
#include "attention/attention.h"
#include "testing.h"

#include <cmath>

using namespace voiceclone::attention;

namespace {

void check(Number number, int64_t dim, int64_t page_size, testing::Random& random) {
  const int64_t heads = 2, batch = 3, tokens = random.between(1, 3);
  const int64_t shared = random.between(0, 1) * random.between(0, 40);
  std::vector<int32_t> lengths, counts, sharing(static_cast<size_t>(batch), static_cast<int32_t>(shared)), table;
  for (int64_t b = 0; b < batch; ++b) {
    lengths.push_back(static_cast<int32_t>(shared + random.between(0, 60)));
    counts.push_back(static_cast<int32_t>(random.between(0, tokens)));
  }
  const int64_t first = (shared + page_size - 1) / page_size;
  const int64_t own = (60 + tokens + page_size - 1) / page_size;
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t i = 0; i < first + own; ++i) {
      table.push_back(static_cast<int32_t>(i < first ? i : first + b * own + i - first));
    }
  }
  const int64_t pages = first + batch * own;
  const auto bytes = static_cast<size_t>(pages * heads * page_size * dim * bytes_of(number));
  std::vector<char> keys(bytes, 1), values(bytes, 1);
  std::vector<float> scales(static_cast<size_t>(pages * heads * page_size), 0.1f), more = scales;
  const std::vector<float> query = random.values(batch * tokens * heads * dim);
  const std::vector<float> mask = random.values(batch * (shared + 60 + tokens));
  std::vector<float> out(query.size(), NAN);
  Problem problem{};
  problem.cache = {keys.data(), values.data(), scales.data(), more.data(), number, pages, heads, page_size, dim};
  const Tokens in{const_cast<float*>(query.data()), tokens * heads * dim, heads * dim, dim};
  problem.query = problem.key = problem.value = problem.out = in;
  problem.out.data = out.data();
  problem.number = Number::float32;
  problem.batch = batch;
  problem.tokens = tokens;
  problem.query_heads = heads;
  problem.pages = table.data();
  problem.page_entries = first + own;
  problem.lengths = lengths.data();
  problem.counts = counts.data();
  problem.shared = sharing.data();
  problem.mask = random.between(0, 1) == 1 ? mask.data() : nullptr;
  problem.mask_stride = shared + 60 + tokens;
  problem.scale = 0.2f;
  attend_batch_cpu(problem, 0, batch * heads);
  for (const float each : out) CHECK(std::isfinite(each));
}

}  // namespace

TEST(attention) {
  testing::Random random(3);
  for (const Number number : {Number::float32, Number::bfloat16, Number::float16, Number::int8, Number::float8}) {
    for (int64_t dim = kDimStep; dim <= kMaxDim; dim += kDimStep) {
      for (const int64_t page_size : {int64_t{1}, int64_t{7}, int64_t{16}, int64_t{200}}) check(number, dim, page_size, random);
    }
  }
}
