// Shares the chunks of phase after phase between the thread that runs a step and helpers that may be late or absent.
//
// A step has over a hundred phases of some microseconds, and a machine that is busy may take a core away at any moment: a
// barrier would then wait for a whole time slice. Here nobody is waited for: the leader takes chunks as well, and those
// that a helper took but has not delivered it computes again. A helper computes into its own buffer and may move the
// result to the tensors only if its chunk is still open.
#pragma once

#include "step/job.h"

#include <atomic>
#include <cstdint>
#include <vector>

namespace voiceclone::step {

class Team {
 public:
  // `helpers` other threads will call help(); `most_chunks` bounds the chunks of any job.
  Team(int64_t helpers, int64_t most_chunks, int64_t buffer_floats);

  // Computes and commits all chunks. Leader only.
  void run(const Job& job);

  // Helps until close(). Each helper has its own number, from 0.
  void help(int64_t number);

  // Sends the helpers home; nothing is run afterwards. Leader only.
  void close() { closed_.store(true, std::memory_order_release); }

 private:
  static constexpr int64_t kWords = (sizeof(Job) + 7) / 8;

  void publish(const Job& job);
  bool read(Job& job, uint64_t& epoch) const;

  int64_t helpers_;
  std::vector<std::vector<float>> buffers_;        // the leader's, then each helper's
  std::vector<std::atomic<uint64_t>> chunk_state_;  // 4 * epoch + open, committing or done
  alignas(64) std::atomic<uint64_t> epoch_{0};      // odd while a job is being written
  alignas(64) std::atomic<uint64_t> next_{0};       // epoch << 16 | the next chunk nobody has taken
  alignas(64) std::atomic<bool> closed_{false};
  std::atomic<uint64_t> words_[kWords] = {};  // the job, which helpers may read while it changes
};

}  // namespace voiceclone::step
