// What a sanitizer driver needs: TEST(name) { ... }, CHECK(condition), exact-sized buffers and a small random source.
//
// A file `X_test.cpp` in this folder is compiled and run by itself; `make sanitize` runs all of them at each CPU level.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace testing {

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test>& all() {
  static std::vector<Test> tests;
  return tests;
}

struct Register {
  Register(const char* name, void (*run)()) { all().push_back({name, run}); }
};

// Deterministic, and good enough to make shapes and values from.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2654435769u + 1) {}

  uint32_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 33);
  }
  // In [low, high].
  int64_t between(int64_t low, int64_t high) { return low + next() % (high - low + 1); }
  // In [-1, 1).
  float value() { return static_cast<float>(next()) / 1073741824.0f - 1.0f; }

  // Of exactly `count` elements on the heap, so that reading or writing one more is found.
  std::vector<float> values(int64_t count) {
    std::vector<float> made(static_cast<size_t>(count));
    for (float& each : made) each = value();
    return made;
  }

 private:
  uint64_t state_;
};

}  // namespace testing

#define TEST(name)                                                  \
  static void test_##name();                                        \
  static const testing::Register registered_##name(#name, test_##name); \
  static void test_##name()

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);     \
      std::abort();                                                            \
    }                                                                          \
  } while (false)
