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

// Between these, every function is compiled for an instruction set; standard headers belong before them.
#if defined(__clang__)
#define VOICECLONE_PRAGMA(text) _Pragma(#text)
#define VOICECLONE_BEGIN_TARGET(set) \
  VOICECLONE_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define VOICECLONE_END_TARGET _Pragma("clang attribute pop")
#else
#define VOICECLONE_PRAGMA(text) _Pragma(#text)
#define VOICECLONE_BEGIN_TARGET(set) _Pragma("GCC push_options") VOICECLONE_PRAGMA(GCC target(set))
#define VOICECLONE_END_TARGET _Pragma("GCC pop_options")
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

#if VOICECLONE_X86
inline bool has_avx512_bf16() { return supported_level() == CpuLevel::avx512 && __builtin_cpu_supports("avx512bf16"); }
inline bool has_avx512_vnni() { return supported_level() == CpuLevel::avx512 && __builtin_cpu_supports("avx512vnni"); }
#endif

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
