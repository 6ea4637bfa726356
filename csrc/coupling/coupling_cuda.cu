// The WaveNet and the coupling layer on the GPU: two launches a layer, with gates and sums where the products end.
//
// A block makes 32 frames of 32 channels, or of 32 pairs of channels: tanh and sigmoid, residual and skip, mean and log
// scale. Inputs pass through shared memory sixteen channels at a time, weights come straight from the cache.
#include "coupling/coupling.h"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

namespace voiceclone::coupling {
namespace {

constexpr int kLanes = 32, kGroups = 4, kEach = 8;  // channels; warps of a block; frames of a thread
constexpr int kFrames = kGroups * kEach;
constexpr int kChunk = 16;            // input channels in shared memory at a time
constexpr int kStride = kChunk + 4;   // rows stay aligned to 16 bytes
constexpr int64_t kSharedBytes = 48 << 10;
constexpr int64_t kMostGrid = 65535;

// Rows of [batch, frames, channels]; what lies outside of a sample's length reads as zero.
struct Source {
  const float* data;
  int64_t batch_stride, frame_stride, channel_stride;
  int64_t channels;
};

struct Weights {
  const void* data;  // as common/conv1d.h says, without blocks
  const float* bias;
  int64_t in, out;
};

struct Job {
  Source source;
  Weights weights[2];
  int64_t offset[2];  // first output channel of each weight
  int64_t channels;   // outputs of each, padded
  int taps, dilation, left;
  Signal signal;
  const float* condition;  // of this layer
  float *h, *active, *skip, *logs;  // [batch, frames, padded]
  int64_t hidden;                   // padded
  bool first;                       // the layer's skip replaces what is there
  Coupling coupling;
};

enum class End { pre, gate, res_skip, skip, shift, affine };

__device__ __forceinline__ float4 four(const float* weights, int64_t channel, int64_t width) {
  const float* w = weights + channel * width;
  return {w[0], w[width], w[2 * width], w[3 * width]};
}

// Pairs of input channels stand together.
__device__ __forceinline__ float4 four(const __nv_bfloat16* weights, int64_t channel, int64_t width) {
  const __nv_bfloat162* w = reinterpret_cast<const __nv_bfloat162*>(weights) + channel / 2 * width;
  const float2 low = __bfloat1622float2(w[0]), high = __bfloat1622float2(w[width]);
  return {low.x, low.y, high.x, high.y};
}

// A float32 weight is one step a channel from its lane's first, a bfloat16 weight one pair.
template <class Weight>
__device__ __forceinline__ const Weight* lane_weights(const Weights& weights, int64_t output, int taps, int64_t* width) {
  constexpr int64_t kUnit = 4 / sizeof(Weight);
  const int64_t panel = output / conv1d::kPanel * conv1d::kPanel;
  *width = min(conv1d::kPanel, weights.out - panel);
  return static_cast<const Weight*>(weights.data) + panel * weights.in * taps + (output - panel) * kUnit;
}

template <End kEnd>
__device__ __forceinline__ void finish(const Job& job, int64_t sample, int64_t t, int64_t length, int64_t c, float a,
                                       float b) {
  const Signal& signal = job.signal;
  const int64_t at = (sample * signal.frames + t) * job.hidden + c;
  if (kEnd == End::pre) {
    job.h[at] = a;
  } else if (kEnd == End::gate) {
    if (job.condition != nullptr && c < signal.channels) {
      const float* condition =
          job.condition + sample * signal.condition_batch_stride + t * signal.condition_frame_stride;
      a += condition[c];
      b += condition[signal.channels + c];
    }
    job.active[at] = tanhf(a) / (1.0f + expf(-b));
  } else if (kEnd == End::res_skip || kEnd == End::skip) {
    if (kEnd == End::res_skip) job.h[at] += b;
    job.skip[at] = job.first ? a : job.skip[at] + a;
  } else {
    const Coupling& coupling = job.coupling;
    const int64_t half = signal.channels / 2;
    if (c >= half) return;
    const int64_t kept = c + (coupling.swapped ? half : 0), changed = c + (coupling.swapped ? 0 : half);
    const float* x = signal.x + sample * signal.batch_stride + t * signal.frame_stride;
    float* y = signal.y + (sample * signal.frames + t) * signal.channels;
    const bool inside = t < length;
    float value = inside ? x[changed * signal.channel_stride] : 0.0f;
    if (kEnd == End::shift) {
      value = coupling.reverse ? value - a : value + a;
    } else {
      const float logs = coupling.reverse ? -b : b;
      job.logs[(sample * signal.frames + t) * half + c] = inside ? logs : 0.0f;
      value = coupling.reverse ? (value - a) * expf(logs) : value * expf(logs) + a;
    }
    y[changed] = inside ? value : 0.0f;
    y[kept] = inside ? x[kept * signal.channel_stride] : 0.0f;
  }
}

__device__ __forceinline__ int64_t length_of(const Signal& signal, int64_t sample) {
  return max(int64_t{0}, min(static_cast<int64_t>(signal.lengths[sample]), signal.frames));
}

template <End kEnd, class Weight>
__global__ void __launch_bounds__(kLanes * kGroups) convolve(Job job) {
  constexpr int kSets = kEnd == End::gate || kEnd == End::res_skip || kEnd == End::affine ? 2 : 1;
  extern __shared__ float4 shared[];  // [frames + (taps - 1) * dilation][kStride]
  float* tile = reinterpret_cast<float*>(shared);
  const int lane = threadIdx.x, group = threadIdx.y;
  const int64_t output = static_cast<int64_t>(blockIdx.y) * kLanes + lane;
  const bool used = output < job.channels;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kFrames;
  const int rows = kFrames + (job.taps - 1) * job.dilation;
  const int64_t in = job.weights[0].in;

  const Weight* weights[kSets];
  int64_t width[kSets];
#pragma unroll
  for (int set = 0; set < kSets; ++set) {
    const int64_t safe = job.offset[set] + (used ? output : 0);
    weights[set] = lane_weights<Weight>(job.weights[set], safe, job.taps, &width[set]);
  }

  for (int64_t sample = blockIdx.z; sample < job.signal.batch; sample += gridDim.z) {
    const int64_t length = length_of(job.signal, sample);
    const float* source = job.source.data + sample * job.source.batch_stride;
    float sums[kSets][kEach] = {};
    for (int64_t start = 0; start < in; start += kChunk) {
      __syncthreads();
      for (int at = group * kLanes + lane; at < rows * kChunk; at += kLanes * kGroups) {
        const int64_t t = first + at / kChunk - job.left, channel = start + at % kChunk;
        const bool inside = t >= 0 && t < length && channel < job.source.channels;
        tile[at / kChunk * kStride + at % kChunk] =
            inside ? source[t * job.source.frame_stride + channel * job.source.channel_stride] : 0.0f;
      }
      __syncthreads();
      for (int tap = 0; tap < job.taps; ++tap) {
        const float* row = tile + (group * kEach + tap * job.dilation) * kStride;
#pragma unroll
        for (int channel = 0; channel < kChunk; channel += 4) {
          float4 w[kSets];
#pragma unroll
          for (int set = 0; set < kSets; ++set) w[set] = four(weights[set], tap * in + start + channel, width[set]);
#pragma unroll
          for (int r = 0; r < kEach; ++r) {
            const float4 x = *reinterpret_cast<const float4*>(row + r * kStride + channel);
#pragma unroll
            for (int set = 0; set < kSets; ++set) {
              float& sum = sums[set][r];
              sum = fmaf(x.x, w[set].x, sum);
              sum = fmaf(x.y, w[set].y, sum);
              sum = fmaf(x.z, w[set].z, sum);
              sum = fmaf(x.w, w[set].w, sum);
            }
          }
        }
      }
    }
    if (!used) continue;
    const float bias = job.weights[0].bias[job.offset[0] + output];
    const float other = kSets == 2 ? job.weights[kSets - 1].bias[job.offset[kSets - 1] + output] : 0.0f;
#pragma unroll
    for (int r = 0; r < kEach; ++r) {
      const int64_t t = first + group * kEach + r;
      if (t >= job.signal.frames) break;
      finish<kEnd>(job, sample, t, length, output, sums[0][r] + bias, sums[kSets - 1][r] + other);
    }
  }
}

// One block a sample; a fixed order of sums, so that runs and batches agree.
__global__ void __launch_bounds__(256) sum_logs(const float* logs, int64_t values, float* logdet) {
  __shared__ float partial[256];
  float sum = 0.0f;
  if (logs != nullptr) {
    const float* mine = logs + static_cast<int64_t>(blockIdx.x) * values;
    for (int64_t i = threadIdx.x; i < values; i += 256) sum += mine[i];
  }
  partial[threadIdx.x] = sum;
  __syncthreads();
  for (int half = 128; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) logdet[blockIdx.x] = partial[0];
}

__global__ void __launch_bounds__(256) copy_out(Signal signal, const float* skip, int64_t hidden) {
  const int64_t total = signal.batch * signal.frames * signal.channels;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < total; at += step) {
    const int64_t frame = at / signal.channels, sample = frame / signal.frames;
    const bool inside = frame % signal.frames < length_of(signal, sample);
    signal.y[at] = inside ? skip[frame * hidden + at % signal.channels] : 0.0f;
  }
}

// The other way: x as rows of padded channels.
__global__ void __launch_bounds__(256) copy_in(Signal signal, float* h, int64_t hidden) {
  const int64_t total = signal.batch * signal.frames * hidden;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < total; at += step) {
    const int64_t frame = at / hidden, sample = frame / signal.frames, t = frame % signal.frames, c = at % hidden;
    const bool inside = c < signal.channels && t < length_of(signal, sample);
    h[at] = inside ? signal.x[sample * signal.batch_stride + t * signal.frame_stride + c * signal.channel_stride] : 0.0f;
  }
}

unsigned blocks_of(int64_t values) {
  constexpr int64_t kMost = 4096;
  const int64_t blocks = (values + 255) / 256;
  return static_cast<unsigned>(blocks < kMost ? blocks : kMost);
}

const char* text(cudaError_t error) { return error == cudaSuccess ? nullptr : cudaGetErrorString(error); }

template <End kEnd>
const char* launch(const Job& job, conv1d::Type type, cudaStream_t stream) {
  const int64_t rows = kFrames + static_cast<int64_t>(job.taps - 1) * job.dilation;
  const int64_t bytes = rows * kStride * int64_t{sizeof(float)};
  if (bytes > kSharedBytes) return "a convolution reaches over too many frames";
  const int64_t tiles = (job.signal.frames + kFrames - 1) / kFrames, panels = (job.channels + kLanes - 1) / kLanes;
  if (tiles > INT32_MAX || panels > kMostGrid) return "the signal is too large";
  const int64_t samples = job.signal.batch < kMostGrid ? job.signal.batch : kMostGrid;
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(panels), static_cast<unsigned>(samples));
  const dim3 block(kLanes, kGroups);
  if (type == conv1d::Type::float32) {
    convolve<kEnd, float><<<grid, block, static_cast<size_t>(bytes), stream>>>(job);
  } else {
    convolve<kEnd, __nv_bfloat16><<<grid, block, static_cast<size_t>(bytes), stream>>>(job);
  }
  return text(cudaGetLastError());
}

Weights weights_of(const conv1d::Layer& layer) { return {layer.weights, layer.bias, layer.in, layer.out}; }

// One set of weights, or two with the same input: of two layers, or the two halves of one.
void take(Job& job, const conv1d::Layer& a, const conv1d::Layer& b, int64_t second, int64_t channels) {
  job.weights[0] = weights_of(a);
  job.weights[1] = weights_of(b);
  job.offset[0] = 0;
  job.offset[1] = second;
  job.channels = channels;
  job.taps = static_cast<int>(a.taps);
  job.dilation = static_cast<int>(a.dilation);
  job.left = static_cast<int>(a.left);
}

Source rows(const Signal& signal, const float* data, int64_t channels) {
  return {data, signal.frames * channels, channels, 1, channels};
}

const char* run_stack(const Stack& stack, const Signal& signal, Job& job, cudaStream_t stream) {
  const int64_t padded = job.hidden;
  const char* error = nullptr;
  for (int64_t layer = 0; layer < stack.count && error == nullptr; ++layer) {
    const conv1d::Layer& in = stack.in(layer);
    take(job, in, in, padded, padded);
    job.signal.channels = stack.hidden;  // the condition's halves
    job.condition = signal.condition == nullptr ? nullptr : signal.condition + layer * 2 * stack.hidden;
    if (layer > 0) job.source = rows(signal, job.h, padded);
    error = launch<End::gate>(job, in.type, stream);
    if (error != nullptr) break;
    job.first = layer == 0;
    job.source = rows(signal, job.active, padded);
    take(job, stack.skip(layer), stack.res(layer), 0, padded);
    error = layer + 1 < stack.count ? launch<End::res_skip>(job, in.type, stream)
                                    : launch<End::skip>(job, in.type, stream);
  }
  job.signal.channels = signal.channels;
  return error;
}

Job job_of(const Stack& stack, const Signal& signal, float* workspace) {
  Job job{};
  job.signal = signal;
  job.hidden = conv1d::padded(stack.hidden);
  const int64_t size = signal.batch * signal.frames * job.hidden;
  job.h = workspace;
  job.active = workspace + size;
  job.skip = workspace + 2 * size;
  job.logs = workspace + 3 * size;
  return job;
}

const char* unfit(const Stack& stack, const Coupling* coupling) {
  const char* wrong = "weights packed for the CPU cannot run on CUDA";
  for (int64_t layer = 0; layer < 3 * stack.count - 1; ++layer) {
    if (stack.layers[layer].block != 1 || stack.layers[layer].type != stack.layers[0].type) return wrong;
  }
  if (coupling == nullptr) return nullptr;
  const conv1d::Type type = stack.layers[0].type;
  return coupling->pre->type == type && coupling->post->type == type ? nullptr : wrong;
}

}  // namespace

int64_t cuda_workspace_floats(const Stack& stack, const Signal& signal) {
  const int64_t frames = signal.batch * signal.frames;
  return frames * (3 * conv1d::padded(stack.hidden) + signal.channels);
}

const char* wavenet_cuda(const Stack& stack, const Signal& signal, float* workspace, void* any_stream) {
  if (const char* error = unfit(stack, nullptr)) return error;
  if (signal.batch == 0 || signal.frames == 0) return nullptr;
  const auto stream = static_cast<cudaStream_t>(any_stream);
  Job job = job_of(stack, signal, workspace);
  const int64_t frames = signal.batch * signal.frames;
  copy_in<<<blocks_of(frames * job.hidden), 256, 0, stream>>>(signal, job.h, job.hidden);
  if (const char* error = text(cudaGetLastError())) return error;
  job.source = rows(signal, job.h, job.hidden);
  if (const char* error = run_stack(stack, signal, job, stream)) return error;
  copy_out<<<blocks_of(frames * signal.channels), 256, 0, stream>>>(signal, job.skip, job.hidden);
  return text(cudaGetLastError());
}

const char* coupling_cuda(const Stack& stack, const Signal& signal, const Coupling& coupling, float* workspace,
                          float* logdet, void* any_stream) {
  if (const char* error = unfit(stack, &coupling)) return error;
  if (signal.batch == 0) return nullptr;
  const auto stream = static_cast<cudaStream_t>(any_stream);
  Job job = job_of(stack, signal, workspace);
  job.coupling = coupling;
  const int64_t half = signal.channels / 2;
  const conv1d::Type type = stack.layers[0].type;
  if (signal.frames > 0) {
    const float* kept = signal.x + (coupling.swapped ? half * signal.channel_stride : 0);
    job.source = {kept, signal.batch_stride, signal.frame_stride, signal.channel_stride, half};
    take(job, *coupling.pre, *coupling.pre, 0, job.hidden);
    if (const char* error = launch<End::pre>(job, type, stream)) return error;
    job.source = rows(signal, job.h, job.hidden);
    if (const char* error = run_stack(stack, signal, job, stream)) return error;
    const int64_t padded = conv1d::padded(half);
    job.source = rows(signal, job.skip, job.hidden);
    take(job, *coupling.post, *coupling.post, coupling.mean_only ? 0 : padded, padded);
    const char* error = coupling.mean_only ? launch<End::shift>(job, type, stream) : launch<End::affine>(job, type, stream);
    if (error != nullptr) return error;
  }
  const float* logs = coupling.mean_only ? nullptr : job.logs;
  sum_logs<<<static_cast<unsigned>(signal.batch), 256, 0, stream>>>(logs, signal.frames * half, logdet);
  return text(cudaGetLastError());
}

}  // namespace voiceclone::coupling
