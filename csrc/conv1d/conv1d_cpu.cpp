// One convolution over a signal on the CPU.
#include "conv1d/conv1d.h"

#include <cmath>
#include <cstddef>
#include <cstring>

namespace voiceclone::conv1d {
namespace {

class Rows final : public Sink {
 public:
  Rows(const Problem& problem, int64_t sample)
      : y_(problem.y + (sample * problem.time - problem.start) * problem.outputs),
        outputs_(problem.outputs),
        tanh_(problem.tanh) {}

  void take(int64_t t, int64_t rows, const float* data, int64_t stride) override {
    float* y = y_ + t * outputs_;
    for (int64_t row = 0; row < rows; ++row, data += stride, y += outputs_) {
      std::memcpy(y, data, static_cast<size_t>(outputs_) * sizeof(float));
      for (int64_t o = 0; tanh_ && o < outputs_; ++o) y[o] = std::tanh(y[o]);
    }
  }

 private:
  float* y_;
  int64_t outputs_;
  bool tanh_;
};

}  // namespace

void run_cpu(const Problem& problem, int64_t sample, int64_t begin, int64_t end) {
  Signal signal;
  signal.x = problem.x + sample * problem.time * problem.channels;
  signal.start = problem.start;
  signal.time = problem.time;
  signal.channels = problem.channels;
  signal.slope = problem.slope;
  Rows rows(problem, sample);
  run_chain({problem.link}, signal, problem.start + begin, problem.start + end, rows);
}

}  // namespace voiceclone::conv1d
