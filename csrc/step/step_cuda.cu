// The decode steps on the GPU: five launches a layer, nothing that a CUDA graph could not capture.
//
// Without pre_norm, x is normed by its next reader: the first block of that launch also writes it to `normed`, where the
// next residual sum finds it.
#include "step/step_cuda.h"

namespace voiceclone::step {
namespace {

// One block a row: what the row takes part in, and its x.
__global__ void embed(Problem problem, Layout layout, int32_t* part, int32_t* counts, int64_t scratch_floats) {
  __shared__ int32_t found;
  const int64_t row = blockIdx.x, batch = problem.batch, width = problem.shape.width;
  int32_t* const state = problem.state + row;
  const int64_t token = state[kToken * batch], length = state[kLength * batch], position = state[kPosition * batch];
  if (threadIdx.x == 0) {
    found = state[kDone * batch] != kRunning ? kNone : token < 0 ? kHeadOnly : kWhole;
    if (found == kWhole) {
      const int64_t size = problem.cache.page_size, shared = problem.shared == nullptr ? 0 : problem.shared[row];
      const int64_t capacity = shared + (problem.page_entries - (shared + size - 1) / size) * size;
      const bool known = token < problem.shape.inputs && length >= 0 && position >= 0;
      if (!known || length >= capacity || position >= problem.shape.positions) {
        state[kDone * batch] = known ? kFull : kFailed;
        found = kNone;
      }
    }
    part[row] = found;
    counts[row] = found == kWhole ? 1 : 0;
  }
  __syncthreads();
  if (found != kWhole) return;
  const float* a = reinterpret_cast<const float*>(problem.weights + layout.embedding) + token * width;
  const float* b = reinterpret_cast<const float*>(problem.weights + layout.positions) + position * width;
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x) problem.scratch[row * scratch_floats + i] = a[i] + b[i];
}

struct Norm {
  const float* weight;
  const float* bias;
};

// One warp a row: x through up to three norms, one after another, into `out`; x itself where there is none.
__global__ void norms(const float* x, int64_t x_stride, float* out, int64_t out_stride, int width, Norm a, Norm b,
                      Norm c, float epsilon, const int32_t* part) {
  const int64_t row = blockIdx.x;
  if (part[row] != kWhole) return;
  const float* from = x + row * x_stride;
  float* const to = out + row * out_stride;
  const Norm all[] = {a, b, c};
  for (const Norm& norm : all) {
    if (norm.weight == nullptr) continue;
    float mean, scale;
    mean_and_scale(from, width, epsilon, &mean, &scale);
    for (int i = threadIdx.x; i < width; i += 32) to[i] = (from[i] - mean) * scale * norm.weight[i] + norm.bias[i];
    __syncwarp();
    from = to;
  }
  for (int i = threadIdx.x; from != to && i < width; i += 32) to[i] = from[i];
}

attention::Problem attention_problem(const Problem& problem, int64_t layer, const int32_t* counts) {
  attention::Problem work{};
  const Scratch scratch(problem.shape);
  const int64_t dim = problem.shape.head_dim(), width = problem.shape.width;
  float* const qkv = problem.scratch + scratch.qkv;
  work.cache = cache_of_layer(problem, layer);
  work.query = {qkv, scratch.floats, 0, dim};
  work.key = {qkv + width, scratch.floats, 0, dim};
  work.value = {qkv + 2 * width, scratch.floats, 0, dim};
  work.out = {problem.scratch + scratch.context, scratch.floats, 0, dim};
  work.number = attention::Number::float32;
  work.batch = problem.batch;
  work.tokens = 1;
  work.query_heads = problem.shape.heads;
  work.pages = problem.pages;
  work.page_entries = problem.page_entries;
  work.lengths = problem.state + kLength * problem.batch;
  work.counts = counts;
  work.shared = problem.shared;
  work.scale = 1.0f / sqrtf(static_cast<float>(dim));
  return work;
}

// Enqueues the launches of all steps; `error` is the first that failed.
class Decoder {
 public:
  Decoder(const Problem& problem, void* workspace, cudaStream_t stream)
      : problem_(problem), shape_(problem.shape), layout_(problem.shape), scratch_(problem.shape), stream_(stream) {
    char* const bytes = static_cast<char*>(workspace);
    part_ = reinterpret_cast<int32_t*>(bytes);
    counts_ = part_ + problem.batch;
    normed_ = reinterpret_cast<float*>(bytes + round_up(problem.batch * 8, 256));
  }

  const char* run() {
    for (int64_t step = 0; step < problem_.steps && error_ == nullptr; ++step) {
      left_ = step == 0 && problem_.stop_after >= 0 ? problem_.stop_after : -1;
      if (!run_step(step)) {
        // Whoever stops here wants to see x as the phase leaves it.
        if (pending_.weight != nullptr) launch_norms(problem_.scratch + scratch_.x, scratch_.floats, pending_, {}, {});
        break;
      }
    }
    return error_;
  }

 private:
  void note(cudaError_t error) {
    if (error != cudaSuccess && error_ == nullptr) error_ = cudaGetErrorString(error);
  }

  void note(const char* error) {
    if (error != nullptr && error_ == nullptr) error_ = error;
  }

  bool take_phase() { return left_ < 0 || left_-- > 0; }

  Norm norm_at(const NormAt& at, int64_t layer) const {
    const uint8_t* base = problem_.weights + layer * layout_.layer_bytes;
    return {reinterpret_cast<const float*>(base + at.weight), reinterpret_cast<const float*>(base + at.bias)};
  }

  bool run_step(int64_t step) {
    if (!take_phase()) return false;
    embed<<<static_cast<unsigned>(problem_.batch), 128, 0, stream_>>>(problem_, layout_, part_, counts_,
                                                                     scratch_.floats);
    note(cudaGetLastError());
    pending_ = {nullptr, nullptr};
    if (!run_layers() || !take_phase()) return false;
    const Norm first = shape_.final_norms > 0 ? norm_at(layout_.final_norm[0], 0) : Norm{};
    const Norm second = shape_.final_norms > 1 ? norm_at(layout_.final_norm[1], 0) : Norm{};
    launch_norms(problem_.hidden, shape_.width, pending_, first, second);
    if (!take_phase()) return false;
    Linear head = linear_of(layout_.head, 0, problem_.hidden, shape_.width, scratch_.logits);
    head.needed = kHeadOnly;
    launch(head);
    if (!take_phase()) return false;
    note(sample_cuda(problem_, part_, step, stream_));
    return true;
  }

  bool run_layers() {
    float* const x = problem_.scratch + scratch_.x;
    for (int64_t layer = 0; layer < shape_.layers; ++layer) {
      const LayerAt& at = layout_.layer;
      if (!take_phase()) return false;
      Linear qkv = linear_of(at.qkv, layer, x, scratch_.floats, scratch_.qkv);
      begin_branch(qkv, norm_at(at.norm1, layer));
      launch(qkv);
      if (!take_phase()) return false;
      note(attention::attend_batch_cuda(attention_problem(problem_, layer, counts_), stream_));
      if (!take_phase()) return false;
      end_branch(linear_of(at.out, layer, problem_.scratch + scratch_.context, scratch_.floats, scratch_.x),
                 norm_at(at.norm1, layer));
      if (!take_phase()) return false;
      Linear ffn = linear_of(at.ffn_in, layer, x, scratch_.floats, scratch_.ffn);
      ffn.activate = true;
      begin_branch(ffn, norm_at(at.norm2, layer));
      launch(ffn);
      if (!take_phase()) return false;
      end_branch(linear_of(at.ffn_out, layer, problem_.scratch + scratch_.ffn, scratch_.floats, scratch_.x),
                 norm_at(at.norm2, layer));
    }
    return true;
  }

  // The input of a branch: x normed by the branch's own norm, or by the one that is still to be applied to x.
  void begin_branch(Linear& work, const Norm& own) {
    const Norm norm = shape_.pre_norm != 0 ? own : pending_;
    work.norm_weight = norm.weight;
    work.norm_bias = norm.bias;
    residual_ = problem_.scratch + scratch_.x;
    residual_stride_ = scratch_.floats;
    if (shape_.pre_norm != 0 || norm.weight == nullptr) return;
    work.normed = normed_;
    work.normed_stride = shape_.width;
    residual_ = normed_;
    residual_stride_ = shape_.width;
  }

  // x = what the branch began with + its result; without pre_norm its norm is left to the next reader.
  void end_branch(Linear work, const Norm& norm) {
    work.residual = residual_;
    work.residual_stride = residual_stride_;
    launch(work);
    pending_ = shape_.pre_norm != 0 ? Norm{} : norm;
  }

  Linear linear_of(const MatrixAt& at, int64_t layer, const float* x, int64_t x_stride, int64_t to) const {
    const Matrix matrix = matrix_at(problem_.weights + layer * layout_.layer_bytes, at, shape_.format);
    Linear work{};
    work.words = matrix.words;
    work.bias = matrix.bias;
    work.scale = matrix.scale;
    work.outputs = static_cast<int>(matrix.outputs);
    work.inputs = static_cast<int>(matrix.inputs);
    work.padded_inputs = static_cast<int>(matrix.padded_inputs);
    work.x = x;
    work.x_stride = x_stride;
    work.epsilon = problem_.epsilon;
    work.out = problem_.scratch + to;
    work.out_stride = scratch_.floats;
    work.activation = shape_.activation;
    work.part = part_;
    work.needed = kWhole;
    work.batch = static_cast<int>(problem_.batch);
    return work;
  }

  void launch(const Linear& work) { note(linear_cuda(work, shape_.format, stream_)); }

  void launch_norms(float* out, int64_t out_stride, Norm a, Norm b, Norm c) {
    norms<<<static_cast<unsigned>(problem_.batch), 32, 0, stream_>>>(problem_.scratch + scratch_.x, scratch_.floats, out,
                                                                    out_stride, static_cast<int>(shape_.width), a, b, c,
                                                                    problem_.epsilon, part_);
    note(cudaGetLastError());
  }

  const Problem& problem_;
  const Shape& shape_;
  const Layout layout_;
  const Scratch scratch_;
  cudaStream_t stream_;
  int32_t *part_, *counts_;
  float* normed_;
  Norm pending_{};  // to be applied to x by whoever reads it next
  const float* residual_ = nullptr;
  int64_t residual_stride_ = 0;
  int64_t left_ = -1;
  const char* error_ = nullptr;
};

}  // namespace

int64_t cuda_workspace_bytes(const Problem& problem) {
  return round_up(problem.batch * 8, 256) + problem.batch * problem.shape.width * 4;
}

const char* decode_cuda(const Problem& problem, void* workspace, void* stream) {
  if (problem.shape.vocabulary > kMostVocabulary) return "the vocabulary is larger than 8192";
  return Decoder(problem, workspace, static_cast<cudaStream_t>(stream)).run();
}

}  // namespace voiceclone::step
