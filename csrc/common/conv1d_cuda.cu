// A direct convolution over tiles of 64 rows and 32 outputs: inputs in shared memory, weights through the cache.
#include "common/conv1d_cuda.h"

#include <cuda_runtime.h>

namespace voiceclone::conv1d {
namespace {

constexpr int kTileRows = 64, kOutputs = 32, kGroups = 8, kRowsEach = kTileRows / kGroups;
constexpr int kInputs = 16;             // channels in shared memory at a time
constexpr int kStride = kInputs + 1;    // keeps neighbouring rows in different banks
constexpr int64_t kSharedBytes = 48 << 10;
constexpr int64_t kMostGrid = 65535;

struct Shape {
  int64_t time, inputs, outputs;
  int padded_inputs, padded_outputs, taps, dilation, left;
};

__global__ void __launch_bounds__(kOutputs * kGroups)
    convolve(Shape shape, CudaRun run, const float* __restrict__ weights, const float* __restrict__ bias) {
  extern __shared__ float tile[];  // [rows + (taps - 1) * dilation][kStride]
  const int lane = threadIdx.x, group = threadIdx.y;
  const int panel = blockIdx.y * kOutputs;
  const int width = min(kOutputs, shape.padded_outputs - panel);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kTileRows;
  const int rows = kTileRows + (shape.taps - 1) * shape.dilation;
  const float* panel_weights = weights + static_cast<int64_t>(panel) * shape.padded_inputs * shape.taps;
  for (int64_t sample = blockIdx.z; sample < run.batch; sample += gridDim.z) {
    const float* x = run.x + sample * shape.time * shape.inputs;
    float sums[kRowsEach] = {};
    for (int start = 0; start < shape.padded_inputs; start += kInputs) {
      __syncthreads();
      for (int at = group * kOutputs + lane; at < rows * kInputs; at += kOutputs * kGroups) {
        const int row = at / kInputs, channel = at % kInputs;
        const int64_t t = first + row - shape.left;
        const bool inside = t >= 0 && t < shape.time && start + channel < shape.inputs;
        const float value = inside ? x[t * shape.inputs + start + channel] : 0.0f;
        tile[row * kStride + channel] = value >= 0.0f ? value : value * run.slope;
      }
      __syncthreads();
      if (lane >= width) continue;
      for (int tap = 0; tap < shape.taps; ++tap) {
        const float* w = panel_weights + (static_cast<int64_t>(tap) * shape.padded_inputs + start) * width + lane;
        const float* inputs = tile + (group + tap * shape.dilation) * kStride;
#pragma unroll 4
        for (int channel = 0; channel < kInputs; ++channel) {
          const float weight = w[channel * width];
#pragma unroll
          for (int r = 0; r < kRowsEach; ++r) sums[r] += weight * inputs[r * kGroups * kStride + channel];
        }
      }
    }
    const int output = panel + lane;
    if (lane < width && output < shape.outputs) {
#pragma unroll
      for (int r = 0; r < kRowsEach; ++r) {
        const int64_t t = first + group + r * kGroups;
        if (t >= shape.time) continue;
        const int64_t at = (sample * shape.time + t) * shape.outputs + output;
        float y = sums[r] + bias[output];
        if (run.residual != nullptr) y += run.residual[at];
        if (run.add) y += run.y[at];
        y /= run.divisor;
        run.y[at] = run.tanh ? tanhf(y) : y;
      }
    }
  }
}

}  // namespace

const char* launch(const Layer& layer, const CudaRun& run, void* stream) {
  if (layer.type != Type::float32 || layer.block != 1) return "only float32 weights packed without blocks run on CUDA";
  const int64_t bytes = (kTileRows + (layer.taps - 1) * layer.dilation) * kStride * int64_t{sizeof(float)};
  if (bytes > kSharedBytes) return "the kernel reaches over too many rows for CUDA";
  if (run.batch == 0 || run.time == 0) return nullptr;
  const int64_t tiles = (run.time + kTileRows - 1) / kTileRows, panels = (layer.out + kOutputs - 1) / kOutputs;
  if (tiles > INT32_MAX || panels > kMostGrid) return "the signal is too large for one launch";
  Shape shape{run.time, run.inputs, run.outputs, 0, 0, 0, 0, 0};
  shape.padded_inputs = static_cast<int>(layer.in);
  shape.padded_outputs = static_cast<int>(layer.out);
  shape.taps = static_cast<int>(layer.taps);
  shape.dilation = static_cast<int>(layer.dilation);
  shape.left = static_cast<int>(layer.left);
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(panels),
                  static_cast<unsigned>(run.batch < kMostGrid ? run.batch : kMostGrid));
  convolve<<<grid, dim3(kOutputs, kGroups), static_cast<size_t>(bytes), static_cast<cudaStream_t>(stream)>>>(
      shape, run, static_cast<const float*>(layer.weights), layer.bias);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace voiceclone::conv1d
