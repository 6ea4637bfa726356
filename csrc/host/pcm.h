// Float samples to 16 bits: dither that depends on the seed and the position alone, and crossfades where segments join.
//
// voiceclone/host/pcm.py is the same in numpy: results must be equal bit for bit, so sums keep their order and their type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace voiceclone::host {

// Triangular noise of +-1 step for the sample at `position` of a stream.
double dither(uint64_t seed, uint64_t position);

// Rounds to 16 bits: beyond full scale saturates, NaN is silence. `seed` none: no dither.
void to_pcm16(const float* samples, size_t count, std::optional<uint64_t> seed, uint64_t position, int16_t* out);

class PcmChunker {
 public:
  PcmChunker(int64_t crossfade, std::optional<uint64_t> seed);

  // Samples given out so far.
  int64_t position() const { return position_; }
  // More of the current segment; what cannot be changed by a crossfade any more comes out.
  std::vector<int16_t> push(const float* samples, size_t count);
  // Ends the segment: the next one begins under its last `crossfade` samples. Returns the position of that beginning.
  int64_t join();
  // Ends the stream and gives out the rest; the chunker is then as new but for its position.
  std::vector<int16_t> finish();

 private:
  std::vector<int16_t> emit(size_t count);

  size_t crossfade_;
  std::optional<uint64_t> seed_;
  int64_t position_ = 0;
  std::vector<float> held_;    // the last samples of the segment, which the next one may fade into
  std::vector<float> fading_;  // those of the segment before
  size_t faded_ = 0;           // of which so many have been blended
};

}  // namespace voiceclone::host
