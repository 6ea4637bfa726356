// Whole decode steps of a small transformer on raw pointers: embed, layers, head, sample, for n tokens in one call.
//
// A step is a list of phases over all rows that still run:
//   0                embed:      x = embedding[token] + positions[position]
//   1 + 5 l          qkv:        qkv = Wqkv (pre_norm ? norm1(x) : x) + b
//   2 + 5 l          attention:  appends k and v at `length`, context = attention over length + 1 positions
//   3 + 5 l          out:        x += Wo context + b; unless pre_norm, x = norm1(x)
//   4 + 5 l          ffn_in:     ffn = activation(W1 (pre_norm ? norm2(x) : x) + b)
//   5 + 5 l          ffn_out:    x += W2 ffn + b; unless pre_norm, x = norm2(x)
//   1 + 5 layers     final:      hidden = the final norms of x
//   2 + 5 layers     head:       logits = Whead hidden + b
//   3 + 5 layers     sample:     a token, and whether the row goes on
// A row without a token (-1) was just prefilled: its hidden is given, so its first step begins at the head.
#pragma once

#include "attention/attention.h"
#include "step/layout.h"

#include <cstdint>

namespace voiceclone::step {

// The state's lines, int32: each has one number for every row.
enum State : int64_t {
  kLength,    // positions in the cache
  kPosition,  // row of the positional table for the next token
  kToken,     // the token to feed next, or -1
  kDone,
  kCount,  // tokens sampled so far
  kStateInts
};

enum Done : int32_t {
  kRunning,
  kEnd,     // the end token was sampled, or was the most likely one where that ends a row
  kLimit,   // max_tokens were sampled
  kFull,    // no room in the cache or the positional table for the last token
  kFailed,  // NaN in the logits, or a state outside its tables
};

// Columns of a row's sampling settings, float32, and of its rules, int32.
enum Setting : int64_t { kTemperature, kTopP, kPenalty, kSettings };
enum Rule : int64_t {
  kTopK,         // 0: off
  kEndToken,     // -1: none
  kMinTokens,    // the end token is impossible before
  kMaxTokens,    // 0: no limit
  kTopPFirst,    // 1: top-p before the temperature, and strictly below p
  kEndOnArgmax,  // 1: the row also ends where the end token is the most likely
  kRules
};

struct Problem {
  Shape shape;
  float epsilon;
  const uint8_t* weights;
  attention::Cache cache;  // of layer 0
  int64_t cache_bytes;     // from one layer's keys to the next one's
  int64_t scale_floats;    // the same of the scales of int8 caches
  const int32_t* pages;    // [batch, page_entries]
  int64_t page_entries;
  const int32_t* shared;    // [batch] or null
  int32_t* state;           // [kStateInts, batch]
  float* hidden;            // [batch, width]: what the last sampled token was predicted from
  uint8_t* seen;            // [batch, vocabulary]: tokens that the penalty falls on
  const float* settings;    // [batch, kSettings]
  const int32_t* rules;     // [batch, kRules]
  const float* noise;       // [steps, batch, noise_width]
  int64_t noise_width;      // vocabulary: exponential draws; 1: uniform draws
  int32_t* tokens;          // [batch, steps]: -1 once a row is done
  float* logprobs;          // [batch, steps]: of the token, in the distribution it was drawn from
  float* hiddens;           // [batch, steps, width]: hidden of each sampled token
  float* scratch;           // [batch, scratch_floats(shape)]
  int64_t batch, steps;
  int64_t stop_after;  // phases of the first step to run, or -1 for everything
};

// Parts of a row's scratch, in floats.
struct Scratch {
  explicit Scratch(const Shape& shape)
      : x(0), qkv(shape.width), context(4 * shape.width), ffn(5 * shape.width), logits(ffn + shape.hidden),
        floats(logits + shape.vocabulary) {}
  int64_t x, qkv, context, ffn, logits, floats;
};

// Positions that a row's pages hold.
inline int64_t capacity(const Problem& problem, int64_t row) {
  const int64_t size = problem.cache.page_size;
  const int64_t shared = problem.shared == nullptr ? 0 : problem.shared[row];
  return shared + (problem.page_entries - (shared + size - 1) / size) * size;
}

// The cache of one layer.
inline attention::Cache cache_of_layer(const Problem& problem, int64_t layer) {
  attention::Cache cache = problem.cache;
  cache.keys = static_cast<char*>(cache.keys) + layer * problem.cache_bytes;
  cache.values = static_cast<char*>(cache.values) + layer * problem.cache_bytes;
  if (cache.key_scales != nullptr) {
    cache.key_scales += layer * problem.scale_floats;
    cache.value_scales += layer * problem.scale_floats;
  }
  return cache;
}

// What was drawn from one row of logits, which are left as the draw saw them.
struct Draw {
  int32_t token;  // -1 where the logits hold NaN
  int32_t best;   // the most likely after penalty and minimum length, before the rest
  float logprob;
};
Draw sample_cpu(float* logits, const uint8_t* seen, int64_t vocabulary, const float* settings, const int32_t* rules,
                int64_t count, const float* noise, int64_t noise_width);

class Team;

// All steps on the calling thread; `team` shares the work with other threads.
void decode_cpu(const Problem& problem, Team& team);

// What a team for `problem` must be able to hold.
int64_t most_chunks(const Problem& problem);
int64_t buffer_floats(const Problem& problem);

// Enqueues on `stream`; returns an error's text, or nullptr.
const char* decode_cuda(const Problem& problem, void* workspace, void* stream);
int64_t cuda_workspace_bytes(const Problem& problem);

}  // namespace voiceclone::step
