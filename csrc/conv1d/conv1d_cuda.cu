// One convolution over a batch of signals on a GPU.
#include "conv1d/conv1d.h"

#include "common/conv1d_cuda.h"

namespace voiceclone::conv1d {

const char* run_cuda(const Problem& problem, void* stream) {
  CudaRun run{};
  run.x = problem.x;
  run.y = problem.y;
  run.batch = problem.batch;
  run.time = problem.time;
  run.inputs = problem.channels;
  run.outputs = problem.outputs;
  run.slope = problem.slope;
  run.tanh = problem.tanh;
  run.divisor = 1.0f;
  return launch(problem.link.layer, run, stream);
}

}  // namespace voiceclone::conv1d
