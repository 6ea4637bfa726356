// The protocol between leader and helpers; see team.h.
#include "step/team.h"

#include <sched.h>

#include <cstring>
#include <type_traits>

namespace voiceclone::step {
namespace {

static_assert(std::is_trivially_copyable<Job>::value, "a job is handed over word by word");

constexpr uint64_t kOpen = 0, kCommitting = 1, kTaken = 2, kDelivered = 3;
// Looks at a flag before the thread offers its core to others: a few microseconds.
constexpr int kSpins = 400;
// Looks the leader gives a helper to deliver a chunk: about the time of computing one.
constexpr int kPatience = 600;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Team::Team(int64_t helpers, int64_t most_chunks, int64_t buffer_floats)
    : helpers_(helpers),
      buffers_(static_cast<size_t>(helpers + 1), std::vector<float>(static_cast<size_t>(buffer_floats))),
      chunk_state_(static_cast<size_t>(most_chunks)) {}

void Team::publish(const Job& job) {
  uint64_t words[kWords] = {};
  std::memcpy(words, &job, sizeof job);
  const uint64_t epoch = epoch_.load(std::memory_order_relaxed) + 2;
  epoch_.store(epoch - 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  for (int64_t i = 0; i < kWords; ++i) words_[i].store(words[i], std::memory_order_relaxed);
  for (int64_t i = 0; i < job.chunks; ++i) {
    chunk_state_[static_cast<size_t>(i)].store(4 * epoch + kOpen, std::memory_order_relaxed);
  }
  next_.store(epoch << 16, std::memory_order_relaxed);
  epoch_.store(epoch, std::memory_order_release);
}

// A job read while it was being replaced is thrown away.
bool Team::read(Job& job, uint64_t& epoch) const {
  epoch = epoch_.load(std::memory_order_acquire);
  if (epoch == 0 || epoch % 2 != 0) return false;
  uint64_t words[kWords];
  for (int64_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (epoch_.load(std::memory_order_relaxed) != epoch) return false;
  std::memcpy(&job, words, sizeof job);
  return true;
}

void Team::run(const Job& job) {
  float* buffer = buffers_[0].data();
  if (helpers_ == 0 || job.chunks < 2) {
    for (int64_t chunk = 0; chunk < job.chunks; ++chunk) {
      job.compute(chunk, buffer);
      job.commit(chunk, buffer);
    }
    return;
  }
  publish(job);
  const uint64_t epoch = epoch_.load(std::memory_order_relaxed), open = 4 * epoch + kOpen;
  const auto finish = [&](int64_t chunk) {
    std::atomic<uint64_t>& state = chunk_state_[static_cast<size_t>(chunk)];
    job.compute(chunk, buffer);
    uint64_t wanted = open;
    if (!state.compare_exchange_strong(wanted, 4 * epoch + kTaken, std::memory_order_acq_rel)) return;
    job.commit(chunk, buffer);
    state.store(4 * epoch + kDelivered, std::memory_order_relaxed);
  };
  for (;;) {
    const uint64_t mine = next_.fetch_add(1, std::memory_order_relaxed);
    const int64_t chunk = static_cast<int64_t>(mine & 0xffff);
    if (chunk >= job.chunks) break;
    finish(chunk);
  }
  for (int64_t chunk = 0; chunk < job.chunks; ++chunk) {
    std::atomic<uint64_t>& state = chunk_state_[static_cast<size_t>(chunk)];
    for (int i = 0; i < kPatience && state.load(std::memory_order_acquire) == open; ++i) pause();
    if (state.load(std::memory_order_acquire) == open) finish(chunk);
    // Committing is a copy of some kilobytes: only a helper that lost its core in the midst of it keeps one waiting.
    for (int i = 0; state.load(std::memory_order_acquire) != 4 * epoch + kDelivered; ++i) {
      if (i < kSpins) {
        pause();
      } else {
        sched_yield();
      }
    }
  }
}

void Team::help(int64_t number) {
  float* buffer = buffers_[static_cast<size_t>(number + 1)].data();
  Job job;
  uint64_t epoch = 0, finished = 0;
  int idle = 0;
  while (!closed_.load(std::memory_order_acquire)) {
    if (epoch_.load(std::memory_order_acquire) == finished || !read(job, epoch) || epoch == finished) {
      if (++idle < kSpins) {
        pause();
      } else {
        sched_yield();
      }
      continue;
    }
    idle = 0;
    for (;;) {
      uint64_t mine = next_.load(std::memory_order_relaxed);
      const int64_t chunk = static_cast<int64_t>(mine & 0xffff);
      if (mine >> 16 != epoch || chunk >= job.chunks) break;
      if (!next_.compare_exchange_weak(mine, mine + 1, std::memory_order_relaxed)) continue;
      job.compute(chunk, buffer);
      std::atomic<uint64_t>& state = chunk_state_[static_cast<size_t>(chunk)];
      uint64_t open = 4 * epoch + kOpen;
      if (!state.compare_exchange_strong(open, 4 * epoch + kCommitting, std::memory_order_acq_rel)) break;
      job.commit(chunk, buffer);
      state.store(4 * epoch + kDelivered, std::memory_order_release);
    }
    finished = epoch;
  }
}

}  // namespace voiceclone::step
