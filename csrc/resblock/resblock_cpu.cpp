// Residual blocks on the CPU: one pass over the signal a block, their results added up in the output.
#include "resblock/resblock.h"

#include <cstddef>

namespace voiceclone::resblock {
namespace {

class Mean final : public conv1d::Sink {
 public:
  Mean(const Problem& problem, int64_t sample)
      : y_(problem.y + (sample * problem.time - problem.start) * problem.channels),
        channels_(problem.channels),
        count_(problem.blocks.size()) {}

  void next() { ++block_; }

  void take(int64_t t, int64_t rows, const float* data, int64_t stride) override {
    const bool first = block_ == 0, last = block_ + 1 == count_;
    const auto count = static_cast<float>(count_);
    for (int64_t row = 0; row < rows; ++row, data += stride) {
      float* y = y_ + (t + row) * channels_;
      for (int64_t c = 0; c < channels_; ++c) {
        const float sum = first ? data[c] : y[c] + data[c];
        y[c] = last ? sum / count : sum;
      }
    }
  }

 private:
  float* y_;
  int64_t channels_;
  size_t count_, block_ = 0;
};

}  // namespace

void run_cpu(const Problem& problem, int64_t sample, int64_t begin, int64_t end) {
  conv1d::Signal signal;
  signal.x = problem.x + sample * problem.time * problem.channels;
  signal.start = problem.start;
  signal.time = problem.time;
  signal.channels = problem.channels;
  signal.slope = problem.slope;
  Mean mean(problem, sample);
  for (const std::vector<conv1d::Link>& block : problem.blocks) {
    conv1d::run_chain(block, signal, problem.start + begin, problem.start + end, mean);
    mean.next();
  }
}

}  // namespace voiceclone::resblock
