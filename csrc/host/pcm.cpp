// Dither, rounding and crossfades of the PCM chunker. Compiled without contraction: a fused sum would round differently.
#include "host/pcm.h"

#include <stdexcept>
#include <string>

namespace voiceclone::host {
namespace {

// The weight of the new segment at sample `index` of a crossfade: rises without a corner at either end.
float fade_in(size_t index, size_t count) {
  const float t = (static_cast<float>(index) + 0.5f) / static_cast<float>(count);
  return t * t * (3.0f - 2.0f * t);
}

// To the nearest, to the even one of two: beyond 2**52 a double has no fraction left. nearbyint() is a call a sample.
int16_t rounded(double scaled) {
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2**52
  // Clamped first: neither NaN nor what no integer holds may reach the conversion.
  scaled = scaled == scaled ? scaled : 0.0;
  scaled = scaled > 32767.0 ? 32767.0 : scaled;
  scaled = scaled < -32768.0 ? -32768.0 : scaled;
  return static_cast<int16_t>(static_cast<int32_t>(scaled + kShift - kShift));
}

// The same without dither: a power of two scales exactly, and a loop over floats becomes vector instructions.
int16_t rounded(float scaled) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2**23
  scaled = scaled == scaled ? scaled : 0.0f;
  scaled = scaled > 32767.0f ? 32767.0f : scaled;
  scaled = scaled < -32768.0f ? -32768.0f : scaled;
  return static_cast<int16_t>(static_cast<int32_t>(scaled + kShift - kShift));
}

}  // namespace

double dither(uint64_t seed, uint64_t position) {
  // splitmix64: any position can be asked for without those before it.
  uint64_t mixed = seed + (position + 1) * 0x9E3779B97F4A7C15u;
  mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;
  mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
  mixed ^= mixed >> 31;
  const uint64_t sum = (mixed >> 32) + (mixed & 0xFFFFFFFFu);
  return static_cast<double>(sum) * (1.0 / 4294967296.0) - 1.0;
}

void to_pcm16(const float* samples, size_t count, std::optional<uint64_t> seed, uint64_t position, int16_t* out) {
  if (seed) {
    for (size_t i = 0; i < count; ++i) out[i] = rounded(samples[i] * 32768.0 + dither(*seed, position + i));
  } else {
    for (size_t i = 0; i < count; ++i) out[i] = rounded(samples[i] * 32768.0f);
  }
}

PcmChunker::PcmChunker(int64_t crossfade, std::optional<uint64_t> seed)
    : crossfade_(static_cast<size_t>(crossfade)), seed_(seed) {
  if (crossfade < 0 || crossfade > 1 << 20) {
    throw std::invalid_argument("crossfade must be 0 to 1048576 samples, got " + std::to_string(crossfade));
  }
}

std::vector<int16_t> PcmChunker::emit(size_t count) {
  std::vector<int16_t> out(count);
  to_pcm16(held_.data(), count, seed_, static_cast<uint64_t>(position_), out.data());
  held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(count));
  position_ += static_cast<int64_t>(count);
  return out;
}

std::vector<int16_t> PcmChunker::push(const float* samples, size_t count) {
  held_.reserve(held_.size() + count);
  for (size_t i = 0; i < count; ++i) {
    float sample = samples[i];
    if (faded_ < fading_.size()) {
      const float old = fading_[faded_];
      sample = old + (sample - old) * fade_in(faded_, fading_.size());
      ++faded_;
    }
    held_.push_back(sample);
  }
  return emit(held_.size() > crossfade_ ? held_.size() - crossfade_ : 0);
}

int64_t PcmChunker::join() {
  fading_.swap(held_);
  held_.clear();
  faded_ = 0;
  return position_;
}

std::vector<int16_t> PcmChunker::finish() {
  fading_.clear();
  faded_ = 0;
  return emit(held_.size());
}

}  // namespace voiceclone::host
