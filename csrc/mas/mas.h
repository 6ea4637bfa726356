// Monotonic alignment search on raw pointers: which text token each mel frame belongs to, on the best monotonic path.
//
// For frame y and token x inside the band (both ends of the text reachable), all in float32:
//   cur  = x == y ? -1e9 : sum[y-1][x]          prev = x == 0 ? (y == 0 ? 0 : -1e9) : sum[y-1][x-1]
//   sum[y][x] = value[y][x] + (cur > prev ? cur : prev)
// and backwards from the last token: step down where x == y or sum[y-1][x] < sum[y-1][x-1] (ties stay).
// More tokens than frames leave the band empty: the walk back then compares the raw values.
#pragma once

#include <cstdint>

namespace voiceclone::mas {

constexpr float kNever = -1e9f;

struct Problem {
  const float* value;  // [batch, frames, tokens] with the strides below, in elements
  int64_t batch, frames, tokens;
  int64_t batch_stride, frame_stride, token_stride;
  const int32_t* frame_counts;  // [batch], clamped to 0..frames; nullptr: every sample has all of them
  const int32_t* token_counts;  // [batch], clamped to 0..tokens; nullptr: the same
  int32_t* index;               // [batch, frames]: token of each frame, -1 past the end
  int32_t* durations;           // [batch, tokens]: frames of each token
};

// Samples [begin, end); frame_stride or token_stride must be 1.
void align_cpu(const Problem& problem, int64_t begin, int64_t end);

// 32-bit words of device memory that align_cuda needs for its direction bits.
int64_t cuda_workspace_words(const Problem& problem);

// Enqueues on `stream`; returns an error's text, or nullptr.
const char* align_cuda(const Problem& problem, uint32_t* workspace, void* stream);

}  // namespace voiceclone::mas
