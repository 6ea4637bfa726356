// Draws a token from one row of logits, in the order of the original implementations.
//
// Penalty on every token seen (once, however often it was seen), end token impossible before the minimum; then either
//   temperature, top-k, top-p    (VALL-E, XTTS): top-p drops a token once those before it hold more than p
//   top-p, temperature, top-k    (GPT-SoVITS): top-p drops a token once it and those before it hold more than p
// and the draw: argmax(probability / noise) for exponential noise, the inverse of the cumulated sum for uniform noise.
// Ties at the k-th value are kept; equal logits are ranked by index.
#include "step/pointwise.h"
#include "step/step.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace voiceclone::step {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Reused by every call of a thread, which so allocates once.
struct Buffers {
  std::vector<float> values;
  std::vector<int32_t> order;
};

Buffers& buffers(int64_t vocabulary) {
  thread_local Buffers found;
  found.values.resize(static_cast<size_t>(vocabulary));
  found.order.reserve(static_cast<size_t>(vocabulary));
  return found;
}

// exp(logit - largest) of each, and their sum in double.
double weigh(const float* logits, int64_t count, float* weights) {
  std::copy_n(logits, count, weights);
  exponentials(weights, count, *std::max_element(logits, logits + count));
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += weights[i];
  return sum;
}

void keep_top_p(float* logits, int64_t count, float top_p, bool inclusive, Buffers& use) {
  const double most = weigh(logits, count, use.values.data()) * static_cast<double>(top_p);
  const float* weights = use.values.data();
  const auto later = [logits](int32_t a, int32_t b) {
    return logits[a] < logits[b] || (logits[a] == logits[b] && a > b);
  };
  use.order.clear();
  for (int64_t i = 0; i < count; ++i) {
    if (weights[i] > 0) use.order.push_back(static_cast<int32_t>(i));
  }
  // A heap, because few tokens of many hold the share that is asked for.
  std::make_heap(use.order.begin(), use.order.end(), later);
  auto end = use.order.end();
  double before = 0;
  while (end != use.order.begin()) {
    std::pop_heap(use.order.begin(), end, later);
    const double with = before + static_cast<double>(weights[*(end - 1)]);
    const bool first = end == use.order.end();
    if (!first && (inclusive ? with : before) > most) break;
    --end;
    before = with;
  }
  for (auto dropped = use.order.begin(); dropped != end; ++dropped) logits[*dropped] = kNever;
}

void keep_top_k(float* logits, int64_t count, int64_t top_k, Buffers& use) {
  if (top_k >= count) return;
  float bound;
  if (top_k == 1) {
    bound = *std::max_element(logits, logits + count);
  } else {
    std::copy_n(logits, count, use.values.begin());
    const auto kth = use.values.begin() + (top_k - 1);
    std::nth_element(use.values.begin(), kth, use.values.end(), std::greater<float>());
    bound = *kth;
  }
  for (int64_t i = 0; i < count; ++i) {
    if (logits[i] < bound) logits[i] = kNever;
  }
}

int64_t by_race(const float* weights, int64_t count, const float* noise) {
  int64_t winner = -1;
  float best = -1;
  for (int64_t i = 0; i < count; ++i) {
    if (weights[i] > 0 && weights[i] / noise[i] > best) {
      best = weights[i] / noise[i];
      winner = i;
    }
  }
  return winner;
}

int64_t by_share(const float* weights, int64_t count, double share) {
  double sum = 0;
  int64_t last = -1;
  for (int64_t i = 0; i < count && sum <= share; ++i) {
    if (weights[i] > 0) {
      sum += weights[i];
      last = i;
    }
  }
  return last;
}

}  // namespace

Draw sample_cpu(float* logits, const uint8_t* seen, int64_t vocabulary, const float* settings, const int32_t* rules,
                int64_t count, const float* noise, int64_t noise_width) {
  Buffers& use = buffers(vocabulary);
  bool nan = false;
  for (int64_t i = 0; i < vocabulary; ++i) nan |= logits[i] != logits[i];
  if (nan) return {-1, -1, 0};
  const float penalty = settings[kPenalty];
  if (penalty != 1) {
    for (int64_t i = 0; i < vocabulary; ++i) {
      if (seen[i] != 0) logits[i] = logits[i] < 0 ? logits[i] * penalty : logits[i] / penalty;
    }
  }
  const int64_t end = rules[kEndToken];
  if (end >= 0 && end < vocabulary && count < rules[kMinTokens]) logits[end] = kNever;
  const int64_t best = std::max_element(logits, logits + vocabulary) - logits;

  const float top_p = settings[kTopP], temperature = std::max(settings[kTemperature], 1e-5f);
  const bool first = rules[kTopPFirst] != 0;
  if (first && top_p < 1) keep_top_p(logits, vocabulary, top_p, true, use);
  if (temperature != 1) {
    for (int64_t i = 0; i < vocabulary; ++i) logits[i] /= temperature;
  }
  if (rules[kTopK] > 0) keep_top_k(logits, vocabulary, rules[kTopK], use);
  if (!first && top_p < 1) keep_top_p(logits, vocabulary, top_p, false, use);

  const double sum = weigh(logits, vocabulary, use.values.data());
  const float* weights = use.values.data();
  const int64_t token = noise_width == 1 ? by_share(weights, vocabulary, static_cast<double>(noise[0]) * sum)
                                         : by_race(weights, vocabulary, noise);
  if (token < 0) return {-1, static_cast<int32_t>(best), 0};
  const double logprob = static_cast<double>(logits[token] - logits[best]) - std::log(sum);
  return {static_cast<int32_t>(token), static_cast<int32_t>(best), static_cast<float>(logprob)};
}

}  // namespace voiceclone::step
