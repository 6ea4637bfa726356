// Packed convolutions, residual blocks and the snake over odd shapes: memory they may touch, and pieces against wholes.
#include "conv1d/conv1d.h"
#include "resblock/resblock.h"
#include "snake/snake.h"
#include "testing.h"

#include <cstring>
#include <memory>

using namespace voiceclone;  // NOLINT: a test of its kernels

namespace {

struct Free {
  void operator()(void* data) const { std::free(data); }
};
using Bytes = std::unique_ptr<uint8_t, Free>;

// Exactly as long as needed, so that a read past the end is seen.
Bytes bytes(int64_t size) {
  return Bytes(static_cast<uint8_t*>(std::aligned_alloc(64, static_cast<size_t>((size + 63) / 64 * 64))));
}

void fill_floats(uint8_t* to, int64_t count, float size, testing::Random& random) {
  std::vector<float> values = random.values(count);
  for (float& value : values) value *= size;
  std::memcpy(to, values.data(), values.size() * sizeof(float));
}

struct Weights {
  conv1d::Layer layer;
  Bytes blob;
};

// Weights of random bytes would hold NaN: float32 ones are random numbers, bfloat16 and int8 ones small bit patterns.
Weights weights(conv1d::Type type, int64_t in, int64_t out, int64_t taps, int64_t dilation, int64_t block,
                testing::Random& random) {
  int64_t fields[] = {static_cast<int64_t>(type), in, out, taps, dilation, (taps - 1) / 2 * dilation, block, 0, 0};
  conv1d::Layer shape;
  shape.type = type, shape.in = in, shape.out = out, shape.taps = taps, shape.dilation = dilation, shape.block = block;
  fields[8] = (shape.weight_bytes() + 63) / 64 * 64;
  const int64_t constants = out + (type == conv1d::Type::int8 ? 2 * shape.points() * (in + out) : 0);
  const int64_t size = fields[8] + constants * 4;
  Weights made{{}, bytes(size)};
  uint8_t* data = made.blob.get();
  if (type == conv1d::Type::float32) {
    fill_floats(data, shape.weight_bytes() / 4, 0.05f, random);
  } else {
    for (int64_t n = 0; n < shape.weight_bytes(); ++n) data[n] = static_cast<uint8_t>(random.between(0, 60));
  }
  fill_floats(data + fields[8], constants, 0.1f, random);
  if (type == conv1d::Type::int8) std::memset(data + size - shape.points() * out * 4, 0, shape.points() * out * 4);
  CHECK(conv1d::parse_layer(fields, data, size, &made.layer) == nullptr);
  CHECK(conv1d::parse_layer(fields, data, size - 4, &made.layer) != nullptr);
  CHECK(conv1d::parse_layer(fields, data, size, &made.layer) == nullptr);
  return made;
}

void whole_and_piece(int64_t time, int64_t channels, bool paired, conv1d::Type type, testing::Random& random) {
  const int64_t padded = conv1d::padded(channels);
  std::vector<Weights> made;
  resblock::Problem problem{};
  for (int64_t taps : {3, 7, 11}) {
    std::vector<conv1d::Link> block;
    for (int64_t n = 0; n < 4; ++n) {
      made.push_back(weights(type, padded, padded, taps, n % 2 == 0 ? n + 1 : 1, n < 2 ? 4 : 1, random));
      conv1d::Link link;
      link.layer = made.back().layer;
      link.residual = !paired ? n : n % 2 == 1 ? n - 1 : -1;
      block.push_back(link);
    }
    problem.blocks.push_back(block);
  }
  const std::vector<float> x = random.values(2 * time * channels);
  std::vector<float> whole(x.size(), 77.0f), split(x.size(), 77.0f);
  problem.x = x.data();
  problem.batch = 2;
  problem.time = problem.rows = time;
  problem.channels = channels;
  problem.slope = 0.1f;
  problem.start = random.between(-5, 99);
  for (int64_t sample = 0; sample < 2; ++sample) {
    problem.y = whole.data();
    resblock::run_cpu(problem, sample, 0, time);
    problem.y = split.data();
    const int64_t middle = random.between(0, time);
    resblock::run_cpu(problem, sample, 0, middle);
    resblock::run_cpu(problem, sample, middle, time);
  }
  CHECK(whole == split);
}

void one_layer(int64_t time, int64_t channels, int64_t outputs, testing::Random& random) {
  const Weights made = weights(conv1d::Type::float32, conv1d::padded(channels), conv1d::padded(outputs), 5, 2, 1, random);
  const std::vector<float> x = random.values(time * channels);
  std::vector<float> y(static_cast<size_t>(time * outputs), 77.0f);
  conv1d::Problem problem{};
  problem.x = x.data();
  problem.y = y.data();
  problem.batch = 1;
  problem.time = time;
  problem.channels = channels;
  problem.outputs = outputs;
  problem.slope = 0.1f;
  problem.tanh = true;
  problem.link.layer = made.layer;
  conv1d::run_cpu(problem, 0, 0, time);
  for (float value : y) CHECK(value >= -1.0f && value <= 1.0f);
}

void bent(int64_t time, int64_t channels, testing::Random& random) {
  const std::vector<float> x = random.values(time * channels), alpha = random.values(channels),
                           gain = random.values(channels), filter = random.values(snake::kTaps);
  std::vector<float> whole(x.size(), 77.0f), split(x.size(), 77.0f);
  snake::Problem problem{x.data(), whole.data(), 1, time, channels, alpha.data(), gain.data(), filter.data(), filter.data()};
  snake::run_cpu(problem, 0, 0, time);
  problem.y = split.data();
  const int64_t middle = random.between(0, time);
  snake::run_cpu(problem, 0, middle, time);
  snake::run_cpu(problem, 0, 0, middle);
  CHECK(whole == split);
}

}  // namespace

TEST(conv1d) {
  testing::Random random(2);
  for (auto type : {conv1d::Type::float32, conv1d::Type::bfloat16, conv1d::Type::int8}) {
    whole_and_piece(1, 3, true, type, random);
    whole_and_piece(37, 40, false, type, random);
    whole_and_piece(700, 20, true, type, random);
  }
  one_layer(1, 5, 1, random);
  one_layer(130, 33, 50, random);
  for (int64_t time : {0, 1, 2, 31, 32, 33, 100}) bent(time, time % 2 == 0 ? 16 : 21, random);
}
