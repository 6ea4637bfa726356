// Runs every test of this folder in one process, under AddressSanitizer and UndefinedBehaviorSanitizer.
#include "common/cpu.h"
#include "testing.h"

int main() {
  for (const testing::Test& test : testing::all()) {
    std::printf("%s (%s)\n", test.name, voiceclone::level_name(voiceclone::best_level()));
    std::fflush(stdout);
    test.run();
  }
  return testing::all().empty() ? 1 : 0;
}
