// The decode steps on the CPU: the phases in their order, each as chunks that a team shares.
#include "step/step.h"

#include "step/job.h"
#include "step/pointwise.h"
#include "step/team.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace voiceclone::step {
namespace {

// Everything one call of the op needs besides its tensors.
class Decoder {
 public:
  Decoder(const Problem& problem, Team& team)
      : problem_(problem), shape_(problem.shape), layout_(problem.shape), scratch_(problem.shape), team_(team) {
    const int64_t padded = round_up(std::max(shape_.width, shape_.hidden), kGroup);
    const int64_t cells = problem.batch * (padded / kGroup);
    normed_.resize(static_cast<size_t>(problem.batch * shape_.width));
    rounded_.resize(static_cast<size_t>(problem.batch * padded * bytes_per_weight(shape_.format) + kLine));
    scales_.resize(static_cast<size_t>(cells));
    sums_.resize(static_cast<size_t>(cells));
  }

  void run() {
    std::fill_n(problem_.tokens, problem_.batch * problem_.steps, -1);
    std::fill_n(problem_.logprobs, problem_.batch * problem_.steps, 0.0f);
    std::fill_n(problem_.hiddens, problem_.batch * problem_.steps * shape_.width, 0.0f);
    for (int64_t step = 0; step < problem_.steps; ++step) {
      phases_left_ = step == 0 && problem_.stop_after >= 0 ? problem_.stop_after : -1;
      if (!take_phase()) return;
      embed();
      if (running_.empty()) return;
      for (int64_t layer = 0; layer < shape_.layers; ++layer) {
        if (!run_layer(layer)) return;
      }
      if (!take_phase()) return;
      finish();
      if (!take_phase()) return;
      const Matrix head = matrix_at(problem_.weights, layout_.head, shape_.format);
      linear(head, rows_of(problem_.hidden, shape_.width, running_), running_, scratch_.logits, Then::store);
      if (!take_phase()) return;
      for (const int32_t row : running_) sample(row, step);
    }
  }

 private:
  // False once the phases that were asked for have run.
  bool take_phase() { return phases_left_ < 0 || phases_left_-- > 0; }

  float* scratch(int64_t row, int64_t part) const { return problem_.scratch + row * scratch_.floats + part; }
  int32_t& state(State line, int64_t row) const { return problem_.state[line * problem_.batch + row]; }
  const float* floats(int64_t offset) const { return reinterpret_cast<const float*>(problem_.weights + offset); }

  // Finds the rows that run, and those of them that have a token to feed.
  void embed() {
    running_.clear();
    fed_.clear();
    for (int64_t row = 0; row < problem_.batch; ++row) {
      if (state(kDone, row) != kRunning) continue;
      const int64_t fed = state(kToken, row), length = state(kLength, row), place = state(kPosition, row);
      if (fed >= 0) {
        const bool known = fed < shape_.inputs && length >= 0 && place >= 0;
        if (!known || length >= capacity(problem_, row) || place >= shape_.positions) {
          state(kDone, row) = known ? kFull : kFailed;
          continue;
        }
        const float* token = floats(layout_.embedding) + fed * shape_.width;
        const float* position = floats(layout_.positions) + place * shape_.width;
        float* x = scratch(row, scratch_.x);
        for (int64_t i = 0; i < shape_.width; ++i) x[i] = token[i] + position[i];
        fed_.push_back(static_cast<int32_t>(row));
      }
      running_.push_back(static_cast<int32_t>(row));
    }
  }

  bool run_layer(int64_t layer) {
    const uint8_t* weights = problem_.weights + layer * layout_.layer_bytes;
    const LayerAt& at = layout_.layer;
    const auto matrix = [&](const MatrixAt& where) { return matrix_at(weights, where, shape_.format); };
    if (!take_phase()) return false;
    linear(matrix(at.qkv), normed_or_plain(layer, at.norm1), fed_, scratch_.qkv, Then::store);
    if (!take_phase()) return false;
    attend(layer);
    if (!take_phase()) return false;
    linear(matrix(at.out), parts(scratch_.context), fed_, scratch_.x, Then::add);
    if (shape_.pre_norm == 0) norm_in_place(layer, at.norm1);
    if (!take_phase()) return false;
    linear(matrix(at.ffn_in), normed_or_plain(layer, at.norm2), fed_, scratch_.ffn, Then::activate);
    if (!take_phase()) return false;
    linear(matrix(at.ffn_out), parts(scratch_.ffn), fed_, scratch_.x, Then::add);
    if (shape_.pre_norm == 0) norm_in_place(layer, at.norm2);
    return true;
  }

  void norm(const NormAt& at, int64_t offset, const float* x, float* out) const {
    layer_norm(x, floats(offset + at.weight), floats(offset + at.bias), shape_.width, problem_.epsilon, out);
  }

  void norm_in_place(int64_t layer, const NormAt& at) const {
    for (const int32_t row : fed_) {
      norm(at, layer * layout_.layer_bytes, scratch(row, scratch_.x), scratch(row, scratch_.x));
    }
  }

  // Pointers to one part of the scratch of each row that is fed.
  std::vector<const float*> parts(int64_t part) const {
    std::vector<const float*> found;
    for (const int32_t row : fed_) found.push_back(scratch(row, part));
    return found;
  }

  std::vector<const float*> rows_of(const float* from, int64_t stride, const std::vector<int32_t>& rows) const {
    std::vector<const float*> found;
    for (const int32_t row : rows) found.push_back(from + row * stride);
    return found;
  }

  std::vector<const float*> normed_or_plain(int64_t layer, const NormAt& at) {
    if (shape_.pre_norm == 0) return parts(scratch_.x);
    for (const int32_t row : fed_) {
      norm(at, layer * layout_.layer_bytes, scratch(row, scratch_.x), normed_.data() + row * shape_.width);
    }
    return rows_of(normed_.data(), shape_.width, fed_);
  }

  // Rounds x, then gives the product with `matrix` to part `to` of each row's scratch.
  void linear(const Matrix& matrix, const std::vector<const float*>& x, const std::vector<int32_t>& rows, int64_t to,
              Then then) {
    if (rows.empty()) return;
    const int64_t row_bytes = matrix.padded_inputs * bytes_per_weight(shape_.format);
    const Rows input{rounded_.data(), scales_.data(), sums_.data(), static_cast<int64_t>(rows.size()), row_bytes,
                     matrix.padded_inputs / kGroup};
    round_rows(x.data(), matrix.inputs, shape_.format, input);
    team_.run(linear_job(matrix, shape_.format, shape_.activation, input, rows.data(), problem_.scratch + to,
                         scratch_.floats, then));
  }

  void attend(int64_t layer) {
    if (fed_.empty()) return;
    const attention::Cache cache = cache_of_layer(problem_, layer);
    const int64_t dim = shape_.head_dim();
    for (const int32_t row : fed_) {
      const attention::Row place{problem_.pages + row * problem_.page_entries,
                                 problem_.shared == nullptr ? 0 : problem_.shared[row]};
      const float* key = scratch(row, scratch_.qkv) + shape_.width;
      for (int64_t head = 0; head < shape_.heads; ++head) {
        attention::append(cache, place, head, state(kLength, row), key + head * dim, key + shape_.width + head * dim);
      }
    }
    team_.run(attend_job(problem_, cache, fed_.data(), static_cast<int64_t>(fed_.size()),
                         problem_.scratch + scratch_.qkv, problem_.scratch + scratch_.context, scratch_.floats));
  }

  void finish() const {
    for (const int32_t row : fed_) {
      const float* x = scratch(row, scratch_.x);
      float* hidden = problem_.hidden + row * shape_.width;
      std::copy_n(x, shape_.width, hidden);
      for (int64_t i = 0; i < shape_.final_norms; ++i) norm(layout_.final_norm[i], 0, hidden, hidden);
    }
  }

  void sample(int64_t row, int64_t step) const {
    if (state(kToken, row) >= 0) {
      ++state(kLength, row);
      ++state(kPosition, row);
    }
    const int32_t* rules = problem_.rules + row * kRules;
    const float* noise = problem_.noise + (step * problem_.batch + row) * problem_.noise_width;
    uint8_t* seen = problem_.seen + row * shape_.vocabulary;
    const Draw draw = sample_cpu(scratch(row, scratch_.logits), seen, shape_.vocabulary,
                                 problem_.settings + row * kSettings, rules, state(kCount, row), noise, problem_.noise_width);
    if (draw.token < 0) {
      state(kDone, row) = kFailed;
      return;
    }
    const int64_t at = row * problem_.steps + step;
    problem_.tokens[at] = draw.token;
    problem_.logprobs[at] = draw.logprob;
    std::copy_n(problem_.hidden + row * shape_.width, shape_.width, problem_.hiddens + at * shape_.width);
    seen[draw.token] = 1;
    state(kToken, row) = draw.token;
    ++state(kCount, row);
    const int32_t end = rules[kEndToken];
    if (draw.token == end || (rules[kEndOnArgmax] != 0 && draw.best == end)) {
      state(kDone, row) = kEnd;
    } else if (rules[kMaxTokens] > 0 && state(kCount, row) >= rules[kMaxTokens]) {
      state(kDone, row) = kLimit;
    }
  }

  const Problem& problem_;
  const Shape& shape_;
  const Layout layout_;
  const Scratch scratch_;
  Team& team_;
  int64_t phases_left_ = -1;
  std::vector<int32_t> running_, fed_;
  std::vector<float> normed_, scales_;
  std::vector<int32_t> sums_;
  std::vector<uint8_t> rounded_;
};

}  // namespace

int64_t most_chunks(const Problem& problem) {
  const Shape& shape = problem.shape;
  const int64_t outputs = std::max({3 * shape.width, shape.hidden, shape.vocabulary});
  return std::max(round_up(outputs, kTile) / kTile, problem.batch * shape.heads);
}

void decode_cpu(const Problem& problem, Team& team) { Decoder(problem, team).run(); }

}  // namespace voiceclone::step
