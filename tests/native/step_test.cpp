// Decode steps on buffers of exactly their size: every format and cache, rows that end, helpers on threads of their own.
#include "step/step.h"
#include "step/team.h"
#include "testing.h"

#include <cmath>
#include <cstring>
#include <thread>

namespace {

using namespace voiceclone;
using step::Format;

// Everything a call reads and writes.
struct Batch {
  step::Problem problem{};
  std::vector<uint8_t> weights, keys, values, seen;
  std::vector<float> key_scales, value_scales, hidden, settings, noise, logprobs, hiddens, scratch;
  std::vector<int32_t> pages, shared, state, rules, tokens;

  Batch(Format format, attention::Number number, int64_t rows, int64_t steps, int64_t noise_width) {
    testing::Random random(7);
    step::Shape& shape = problem.shape;
    shape = {2, 48, 2, 70, 37, 38, 30, format, step::Activation::gelu_tanh, 0, 1};
    if (format == Format::bfloat16) shape.pre_norm = 1;
    const step::Layout layout(shape);
    weights.assign(static_cast<size_t>(layout.bytes), 0);
    fill(random, layout);
    const int64_t size = 5, entries = 4, pages_count = rows * entries;
    const int64_t cells = shape.layers * pages_count * shape.heads * size;
    keys.resize(static_cast<size_t>(cells * shape.head_dim() * attention::bytes_of(number)));
    values.resize(keys.size());
    key_scales = random.values(number == attention::Number::int8 ? cells : 0);
    value_scales = random.values(number == attention::Number::int8 ? cells : 0);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = 0; i < entries; ++i) pages.push_back(static_cast<int32_t>(pages_count - 1 - row * entries - i));
      shared.push_back(row % 2 == 0 ? 0 : 3);
    }
    for (int64_t line = 0; line < step::kStateInts; ++line) {
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t start[] = {row % 3 == 2 ? 15 : 6, row, row % 4 == 3 ? -1 : row, row == 4 ? 1 : 0, 0};
        state.push_back(static_cast<int32_t>(start[line]));
      }
    }
    for (int64_t row = 0; row < rows; ++row) {
      for (const float value : {row % 2 == 0 ? 1.0f : 0.7f, row % 3 == 0 ? 1.0f : 0.8f, 1.3f}) settings.push_back(value);
      const int64_t chosen[] = {row % 5, 3, 1, row == 1 ? 2 : 0, row % 2, row % 3 == 0};
      for (const int64_t value : chosen) rules.push_back(static_cast<int32_t>(value));
    }
    hidden = random.values(rows * shape.width);
    seen.assign(static_cast<size_t>(rows * shape.vocabulary), 0);
    noise = random.values(steps * rows * noise_width);
    for (float& value : noise) value = noise_width == 1 ? 0.5f + value / 2 : 1.5f + value;
    tokens.assign(static_cast<size_t>(rows * steps), -7);
    logprobs.assign(tokens.size(), std::nanf(""));
    hiddens.assign(tokens.size() * static_cast<size_t>(shape.width), std::nanf(""));
    scratch.assign(static_cast<size_t>(rows * step::Scratch(shape).floats), std::nanf(""));

    problem.epsilon = 1e-5f;
    problem.weights = weights.data();
    problem.cache = {keys.data(), values.data(), key_scales.empty() ? nullptr : key_scales.data(),
                     value_scales.empty() ? nullptr : value_scales.data(), number, pages_count, shape.heads, size,
                     shape.head_dim()};
    problem.scale_floats = pages_count * shape.heads * size;
    problem.cache_bytes = problem.scale_floats * shape.head_dim() * attention::bytes_of(number);
    problem.pages = pages.data();
    problem.page_entries = entries;
    problem.shared = shared.data();
    problem.state = state.data();
    problem.hidden = hidden.data();
    problem.seen = seen.data();
    problem.settings = settings.data();
    problem.rules = rules.data();
    problem.noise = noise.data();
    problem.noise_width = noise_width;
    problem.tokens = tokens.data();
    problem.logprobs = logprobs.data();
    problem.hiddens = hiddens.data();
    problem.scratch = scratch.data();
    problem.batch = rows;
    problem.steps = steps;
    problem.stop_after = -1;
  }

  void floats(testing::Random& random, int64_t at, int64_t count, float least, float spread) {
    for (int64_t i = 0; i < count; ++i) {
      const float value = least + spread * random.value();
      std::memcpy(weights.data() + at + 4 * i, &value, sizeof value);
    }
  }

  void matrix(testing::Random& random, int64_t base, const step::MatrixAt& at) {
    const int64_t outputs = at.tiles() * step::kTile, count = outputs * at.padded_inputs();
    const Format format = problem.shape.format;
    floats(random, base + at.bias, outputs, 0, 0.1f);
    if (format == Format::int8) floats(random, base + at.scale, outputs, 0.002f, 0.001f);
    if (format == Format::float32) floats(random, base + at.words, count, 0, 0.2f);
    for (int64_t i = 0; format == Format::int8 && i < count; ++i) {
      weights[static_cast<size_t>(base + at.words + i)] = static_cast<uint8_t>(random.between(1, 255));
    }
    for (int64_t i = 0; format == Format::bfloat16 && i < count; ++i) {
      const float value = 0.2f * random.value();
      std::memcpy(weights.data() + base + at.words + 2 * i, reinterpret_cast<const char*>(&value) + 2, 2);
    }
  }

  void fill(testing::Random& random, const step::Layout& layout) {
    const step::Shape& shape = problem.shape;
    floats(random, layout.embedding, shape.inputs * shape.width, 0, 1);
    floats(random, layout.positions, shape.positions * shape.width, 0, 1);
    for (int64_t layer = 0; layer < shape.layers; ++layer) {
      const int64_t base = layer * layout.layer_bytes;
      for (const step::NormAt& norm : {layout.layer.norm1, layout.layer.norm2}) {
        floats(random, base + norm.weight, shape.width, 1, 0.1f);
        floats(random, base + norm.bias, shape.width, 0, 0.1f);
      }
      for (const step::MatrixAt& at : {layout.layer.qkv, layout.layer.out, layout.layer.ffn_in, layout.layer.ffn_out}) {
        matrix(random, base, at);
      }
    }
    floats(random, layout.final_norm[0].weight, shape.width, 1, 0.1f);
    matrix(random, 0, layout.head);
  }

  void run(int64_t helpers) {
    step::Team team(helpers, step::most_chunks(problem), step::buffer_floats(problem));
    std::vector<std::thread> threads;
    for (int64_t i = 0; i < helpers; ++i) threads.emplace_back([&team, i] { team.help(i); });
    step::decode_cpu(problem, team);
    team.close();
    for (std::thread& thread : threads) thread.join();
  }
};

void check_same(const Batch& a, const Batch& b) {
  CHECK(a.tokens == b.tokens);
  CHECK(a.state == b.state);
  CHECK(std::memcmp(a.hiddens.data(), b.hiddens.data(), a.hiddens.size() * sizeof(float)) == 0);
  CHECK(std::memcmp(a.logprobs.data(), b.logprobs.data(), a.logprobs.size() * sizeof(float)) == 0);
}

}  // namespace

TEST(decode_step) {
  for (const Format format : {Format::float32, Format::bfloat16, Format::int8}) {
    for (const attention::Number number : {attention::Number::float32, attention::Number::int8}) {
      for (const int64_t rows : {1, 6, 19}) {
        const int64_t noise_width = rows == 6 ? 1 : 37;
        Batch alone(format, number, rows, 8, noise_width), together(format, number, rows, 8, noise_width);
        alone.run(0);
        together.run(2);
        check_same(alone, together);
        bool any = false;
        for (const int32_t token : alone.tokens) {
          CHECK(token >= -1 && token < 37);
          any = any || token >= 0;
        }
        CHECK(any);
      }
    }
  }
}
