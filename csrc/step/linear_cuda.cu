// The matrix products of a decode step on the GPU: few rows against one packed matrix.
//
// A block owns 8 outputs, a quarter of a tile, for up to 8 rows: it brings those rows into shared memory (normed and
// rounded, each block for itself, as that is cheaper than another launch), reads its weights once and adds up the parts
// of its threads in a fixed order, whatever the number of rows.
#include "step/step_cuda.h"

#include <cuda_bf16.h>

namespace voiceclone::step {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kOutputs = 8;           // of a block
constexpr int kLanes = kOutputs / 4;  // that share a line: each reads 16 bytes, one word of 4 outputs
constexpr int kStride = kThreads / kLanes;  // lines that a block reads at a time
constexpr int64_t kSharedBytes = 40 * 1024;

__device__ float largest_of_warp(float value) {
  for (int offset = 16; offset > 0; offset /= 2) {
    const float other = __shfl_xor_sync(~0u, value, offset);
    value = other > value || other != other ? other : value;  // keeps NaN
  }
  return value;
}

__device__ float activated(Activation activation, float x) {
  if (activation == Activation::relu) return x < 0.0f ? 0.0f : x;
  if (activation == Activation::gelu) return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
  return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
}

__device__ uint32_t two_bfloat16(float low, float high) {
  return static_cast<uint32_t>(__bfloat16_as_ushort(__float2bfloat16_rn(low))) |
         static_cast<uint32_t>(__bfloat16_as_ushort(__float2bfloat16_rn(high))) << 16;
}

// One row by one warp: normed if asked for, rounded to the format, into words of shared memory.
template <Format format>
__device__ void bring_row(const Linear& work, int64_t row, uint32_t* words, float* scales) {
  const int lane = threadIdx.x % 32;
  const float* x = work.x + row * work.x_stride;
  float mean = 0.0f, scale = 1.0f;
  if (work.norm_weight != nullptr) mean_and_scale(x, work.inputs, work.epsilon, &mean, &scale);
  for (int group = 0; group * static_cast<int>(kGroup) < work.padded_inputs; ++group) {
    const int first = group * static_cast<int>(kGroup) + 4 * lane;
    float four[4];
    float most = 0.0f;
    for (int j = 0; j < 4; ++j) {
      const int i = first + j;
      float value = 0.0f;
      if (i < work.inputs) {
        value = x[i];
        if (work.norm_weight != nullptr) value = (value - mean) * scale * work.norm_weight[i] + work.norm_bias[i];
        if (work.normed != nullptr && blockIdx.x == 0) work.normed[row * work.normed_stride + i] = value;
      }
      four[j] = value;
      const float size = fabsf(value);
      most = size > most || size != size ? size : most;
    }
    if (format == Format::float32) {
      for (int j = 0; j < 4; ++j) words[first + j] = __float_as_uint(four[j]);
    } else if (format == Format::bfloat16) {
      words[first / 2] = two_bfloat16(four[0], four[1]);
      words[first / 2 + 1] = two_bfloat16(four[2], four[3]);
    } else {
      most = largest_of_warp(most);
      const bool finite = most <= 3.4e38f;  // a group with NaN or infinity yields NaN
      const float inverse = finite && most > 0.0f ? 127.0f / most : 0.0f;
      uint32_t packed = 0;
      for (int j = 0; j < 4; ++j) {
        const int whole = finite ? __float2int_rn(four[j] * inverse) : 0;
        packed |= static_cast<uint32_t>(whole & 0xff) << (8 * j);
      }
      words[first / 4] = packed;
      if (lane == 0) scales[group] = finite ? most / 127.0f : __int_as_float(0x7fc00000);
    }
  }
}

// sum += one word of weights times one word of the row.
template <Format format>
__device__ void multiply(float& sum, uint32_t weight, uint32_t x, float scale) {
  if (format == Format::float32) {
    sum = fmaf(__uint_as_float(weight), __uint_as_float(x), sum);
  } else if (format == Format::bfloat16) {
    sum = fmaf(__uint_as_float(weight << 16), __uint_as_float(x << 16), sum);
    sum = fmaf(__uint_as_float(weight & 0xffff0000u), __uint_as_float(x & 0xffff0000u), sum);
  } else {
    // The stream holds weights plus 128: the top bit of each byte turns them into signed ones.
    sum = fmaf(static_cast<float>(__dp4a(static_cast<int>(weight ^ 0x80808080u), static_cast<int>(x), 0)), scale, sum);
  }
}

template <Format format, int R>
__global__ void __launch_bounds__(kThreads) linear(Linear work) {
  constexpr int kPerWord = format == Format::float32 ? 1 : format == Format::bfloat16 ? 2 : 4;
  extern __shared__ uint32_t shared[];
  __shared__ float sums[kWarps][R][kOutputs];
  const int lines = work.padded_inputs / kPerWord, groups = work.padded_inputs / static_cast<int>(kGroup);
  float* const scales = reinterpret_cast<float*>(shared + R * lines);
  const int warp = threadIdx.x / 32;
  const int first_row = blockIdx.y * R;
  bool any = false;
  for (int r = 0; r < R; ++r) {
    const int row = first_row + r;
    any = any || (row < work.batch && work.part[row] >= work.needed);
  }
  if (!any) return;
  for (int r = warp; r < R; r += kWarps) {
    const int row = first_row + r;
    if (row < work.batch && work.part[row] >= work.needed) {
      bring_row<format>(work, row, shared + r * lines, scales + r * groups);
    } else {
      for (int i = threadIdx.x % 32; i < lines; i += 32) shared[r * lines + i] = 0;
      for (int i = threadIdx.x % 32; i < groups; i += 32) scales[r * groups + i] = 0.0f;
    }
  }
  __syncthreads();

  const int quarter = threadIdx.x % kLanes;  // which 4 of the block's outputs
  const int64_t tile = blockIdx.x / (kTile / kOutputs), offset = blockIdx.x % (kTile / kOutputs) * kOutputs;
  const uint8_t* const words = work.words + tile * lines * kLine + (offset + 4 * quarter) * 4;
  float sum[R][4] = {};
#pragma unroll 4
  for (int line = threadIdx.x / kLanes; line < lines; line += kStride) {
    const uint4 weight = __ldg(reinterpret_cast<const uint4*>(words + line * kLine));
    for (int r = 0; r < R; ++r) {
      const uint32_t x = shared[r * lines + line];
      const float scale = format == Format::int8 ? scales[r * groups + line / (static_cast<int>(kGroup) / 4)] : 1.0f;
      multiply<format>(sum[r][0], weight.x, x, scale);
      multiply<format>(sum[r][1], weight.y, x, scale);
      multiply<format>(sum[r][2], weight.z, x, scale);
      multiply<format>(sum[r][3], weight.w, x, scale);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int j = 0; j < 4; ++j) {
      for (int step = 16; step >= kLanes; step /= 2) sum[r][j] += __shfl_xor_sync(~0u, sum[r][j], step);
      if (threadIdx.x % 32 < kLanes) sums[warp][r][4 * quarter + j] = sum[r][j];
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < R * kOutputs; i += kThreads) {
    const int r = i / kOutputs, row = first_row + r;
    const int output = static_cast<int>(blockIdx.x) * kOutputs + i % kOutputs;
    if (row >= work.batch || work.part[row] < work.needed || output >= work.outputs) continue;
    float value = 0.0f;
    for (int w = 0; w < kWarps; ++w) value += sums[w][r][i % kOutputs];
    if (format == Format::int8) value *= work.scale[output];
    value += work.bias[output];
    if (work.residual != nullptr) value += work.residual[row * work.residual_stride + output];
    work.out[row * work.out_stride + output] = work.activate ? activated(work.activation, value) : value;
  }
}

template <Format format>
cudaError_t launch_linear(const Linear& work, cudaStream_t stream) {
  const int64_t row_bytes = work.padded_inputs * bytes_per_weight(format) + work.padded_inputs / kGroup * 4;
  int rows = 1;
  while (rows < 8 && rows < work.batch && 2 * rows * row_bytes <= kSharedBytes) rows *= 2;
  const size_t bytes = rows * row_bytes;
  if (bytes > 48 * 1024) return cudaErrorInvalidConfiguration;
  const dim3 grid((work.outputs + kOutputs - 1) / kOutputs, (work.batch + rows - 1) / rows);
  switch (rows) {
    case 1: linear<format, 1><<<grid, kThreads, bytes, stream>>>(work); break;
    case 2: linear<format, 2><<<grid, kThreads, bytes, stream>>>(work); break;
    case 4: linear<format, 4><<<grid, kThreads, bytes, stream>>>(work); break;
    default: linear<format, 8><<<grid, kThreads, bytes, stream>>>(work); break;
  }
  return cudaGetLastError();
}

}  // namespace

cudaError_t linear_cuda(const Linear& work, Format format, cudaStream_t stream) {
  switch (format) {
    case Format::float32: return launch_linear<Format::float32>(work, stream);
    case Format::bfloat16: return launch_linear<Format::bfloat16>(work, stream);
    default: return launch_linear<Format::int8>(work, stream);
  }
}

}  // namespace voiceclone::step
