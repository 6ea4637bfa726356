// Which instruction set the CPU kernels use: the best one this processor has, or a lower one named by VOICECLONE_CPU.
#pragma once

#include <cstdlib>
#include <cstring>
#include <initializer_list>

#if defined(__x86_64__)
#define VOICECLONE_X86 1
#define VOICECLONE_AVX2 __attribute__((target("avx2,fma")))
#define VOICECLONE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))
#else
#define VOICECLONE_X86 0
#endif

namespace voiceclone {

enum class CpuLevel { plain, avx2, avx512 };

inline const char* level_name(CpuLevel level) {
  return level == CpuLevel::avx512 ? "avx512" : level == CpuLevel::avx2 ? "avx2" : "plain";
}

inline CpuLevel supported_level() {
#if VOICECLONE_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    return CpuLevel::avx512;
  }
  if (avx2) return CpuLevel::avx2;
#endif
  return CpuLevel::plain;
}

// Decided once a process: kernels of one run must not differ.
inline CpuLevel best_level() {
  static const CpuLevel level = [] {
    const CpuLevel supported = supported_level();
    const char* wanted = std::getenv("VOICECLONE_CPU");
    if (wanted == nullptr) return supported;
    for (CpuLevel lower : {CpuLevel::plain, CpuLevel::avx2}) {
      if (lower < supported && std::strcmp(wanted, level_name(lower)) == 0) return lower;
    }
    return supported;
  }();
  return level;
}

}  // namespace voiceclone
