// The host classes without Python: random sequences of page operations, streams cut at random.
#include "host/pages.h"
#include "host/pcm.h"
#include "testing.h"

#include <algorithm>
#include <limits>

using namespace voiceclone::host;

TEST(pages) {
  testing::Random random(2);
  Sequences cache(20, 3);
  std::vector<int64_t> open;
  for (int step = 0; step < 4000; ++step) {
    const int64_t what = random.between(0, 4);
    if (open.empty() || what == 0) {
      open.push_back(cache.open());
      continue;
    }
    const auto which = static_cast<size_t>(random.between(0, static_cast<int64_t>(open.size()) - 1));
    const int64_t sequence = open[which];
    if (what == 1) {
      open.push_back(cache.fork(sequence, random.between(0, cache.length(sequence))));
    } else if (what == 2) {
      cache.truncate(sequence, random.between(0, cache.length(sequence)));
    } else if (what == 3) {
      try {
        const int64_t length = cache.length(sequence);
        const int64_t count = random.between(0, 7);
        cache.extend(sequence, count);
        CHECK(cache.length(sequence) == length + count);
      } catch (const Exhausted&) {
        cache.close(sequence);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
      }
    } else {
      cache.close(sequence);
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }
  for (int64_t sequence : open) cache.close(sequence);
  CHECK(cache.free() == 20);
}

TEST(pcm) {
  testing::Random random(3);
  for (int round = 0; round < 100; ++round) {
    const int64_t crossfade = random.between(0, 30);
    PcmChunker whole(crossfade, 7);
    PcmChunker cut(crossfade, 7);
    std::vector<int16_t> wanted, found;
    const auto add = [](std::vector<int16_t>& to, const std::vector<int16_t>& more) {
      to.insert(to.end(), more.begin(), more.end());
    };
    for (int segment = 0; segment < 3; ++segment) {
      if (segment > 0) CHECK(whole.join() == cut.join());
      std::vector<float> samples = random.values(random.between(0, 80));
      if (!samples.empty()) samples[0] = round % 2 == 0 ? 3e38f : std::numeric_limits<float>::quiet_NaN();
      add(wanted, whole.push(samples.data(), samples.size()));
      for (size_t at = 0; at < samples.size();) {
        const auto size = std::min(samples.size() - at, static_cast<size_t>(random.between(1, 20)));
        add(found, cut.push(samples.data() + at, size));
        at += size;
      }
    }
    add(wanted, whole.finish());
    add(found, cut.finish());
    CHECK(wanted == found);
  }
}
