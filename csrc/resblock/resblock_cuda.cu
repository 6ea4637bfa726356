// Residual blocks on a GPU: a launch a convolution, with activation, residual sum and mean inside it.
#include "resblock/resblock.h"

#include "common/conv1d_cuda.h"

namespace voiceclone::resblock {

const char* run_cuda(const Problem& problem, float* workspace, void* stream) {
  const int64_t size = problem.batch * problem.time * problem.channels;
  float* const buffers[] = {workspace, workspace + size};
  for (size_t b = 0; b < problem.blocks.size(); ++b) {
    const std::vector<conv1d::Link>& block = problem.blocks[b];
    const float* lines[2] = {problem.x, problem.x};  // what the layers before left: of even and of odd number
    for (size_t n = 0; n < block.size(); ++n) {
      const bool last = n + 1 == block.size();
      conv1d::CudaRun run{};
      run.x = n == 0 ? problem.x : lines[n % 2];
      // Line n + 1 takes the place of line n - 1, which nobody reads any more but, element by element, this launch.
      run.y = last ? problem.y : buffers[(n + 1) % 2];
      run.residual = block[n].residual < 0 ? nullptr : block[n].residual == 0 ? problem.x : lines[block[n].residual % 2];
      run.batch = problem.batch;
      run.time = problem.time;
      run.inputs = run.outputs = problem.channels;
      run.slope = problem.slope;
      run.add = last && b > 0;
      run.divisor = last && b + 1 == problem.blocks.size() ? static_cast<float>(problem.blocks.size()) : 1.0f;
      if (const char* error = conv1d::launch(block[n].layer, run, stream)) return error;
      lines[(n + 1) % 2] = run.y;
    }
  }
  return nullptr;
}

}  // namespace voiceclone::resblock
