// Alignment search over odd shapes, both layouts, lengths of zero, more tokens than frames.
#include "mas/mas.h"
#include "testing.h"

using voiceclone::mas::Problem;

namespace {

// A row of a larger batch must be what the sample alone gives, and a path never goes back or skips.
void check(int64_t batch, int64_t frames, int64_t tokens, bool text_major, testing::Random& random) {
  const std::vector<float> value = random.values(batch * frames * tokens);
  std::vector<int32_t> frame_counts, token_counts;
  for (int64_t sample = 0; sample < batch; ++sample) {
    frame_counts.push_back(static_cast<int32_t>(random.between(0, frames)));
    token_counts.push_back(static_cast<int32_t>(random.between(0, tokens)));
  }
  std::vector<int32_t> index(static_cast<size_t>(batch * frames), 77);
  std::vector<int32_t> durations(static_cast<size_t>(batch * tokens), 77);
  Problem problem{};
  problem.value = value.data();
  problem.batch = batch;
  problem.frames = frames;
  problem.tokens = tokens;
  problem.batch_stride = frames * tokens;
  problem.frame_stride = text_major ? 1 : tokens;
  problem.token_stride = text_major ? frames : 1;
  problem.frame_counts = frame_counts.data();
  problem.token_counts = token_counts.data();
  problem.index = index.data();
  problem.durations = durations.data();
  align_cpu(problem, 0, batch);

  for (int64_t sample = 0; sample < batch; ++sample) {
    const int64_t mel = frame_counts[static_cast<size_t>(sample)];
    const int64_t text = token_counts[static_cast<size_t>(sample)];
    const int32_t* token = index.data() + sample * frames;
    for (int64_t y = 0; y < frames; ++y) {
      CHECK(y < mel && text > 0 ? token[y] >= 0 && token[y] < text : token[y] == -1);
      if (y > 0 && y < mel && text > 0) CHECK(token[y] == token[y - 1] || token[y] == token[y - 1] + 1);
    }
    if (mel > 0 && text > 0) CHECK(token[mel - 1] == text - 1);
    if (text > 0 && text <= mel) CHECK(token[0] == 0);
    int64_t total = 0;
    for (int64_t x = 0; x < tokens; ++x) total += durations[static_cast<size_t>(sample * tokens + x)];
    CHECK(total == (text > 0 ? mel : 0));
  }
}

}  // namespace

TEST(mas) {
  testing::Random random(1);
  for (int round = 0; round < 150; ++round) {
    const int64_t frames = random.between(0, round % 10 == 0 ? 300 : 40);
    const int64_t tokens = random.between(0, round % 10 == 0 ? 200 : 40);
    check(random.between(0, 3), frames, tokens, round % 2 == 1, random);
  }
  for (int64_t size : {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64}) {
    check(2, size, size, false, random);
    check(2, 3 * size, size, true, random);
  }
}
