// The number types of caches, one value at a time: exact reading, writing rounded to nearest even.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace voiceclone::attention {

inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float from_bfloat16(uint16_t stored) { return float_of(static_cast<uint32_t>(stored) << 16); }

inline uint16_t to_bfloat16(float value) {
  const uint32_t bits = bits_of(value);
  if (value != value) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float from_float16(uint16_t stored) {
  const uint32_t sign = static_cast<uint32_t>(stored & 0x8000u) << 16;
  const uint32_t magnitude = stored & 0x7fffu;
  if (magnitude >= 0x7c00u) return float_of(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Half and float exponents differ by 112: a multiplication moves subnormal halves too.
  const float value = float_of(magnitude << 13) * float_of((112u + 127u) << 23);
  return float_of(sign | bits_of(value));
}

inline uint16_t to_float16(float value) {
  const uint32_t bits = bits_of(value);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {  // below 2^-14: units of 2^-24
    const float units = std::nearbyint(float_of(magnitude) * 16777216.0f);
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(units));
  }
  const uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u) - (112u << 23);
  return static_cast<uint16_t>(sign | rounded >> 13);
}

inline float from_float8(uint8_t stored) {
  const uint32_t sign = static_cast<uint32_t>(stored & 0x80u) << 24;
  const uint32_t magnitude = stored & 0x7fu;
  if (magnitude == 0x7fu) return float_of(sign | 0x7fc00000u);
  const float value = float_of(magnitude << 20) * float_of((120u + 127u) << 23);
  return float_of(sign | bits_of(value));
}

// Beyond the largest, 448, is the largest.
inline uint8_t to_float8(float value) {
  const uint32_t bits = bits_of(value);
  const uint32_t sign = bits >> 24 & 0x80u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint8_t>(sign | 0x7fu);
  if (magnitude >= 0x43e00000u) return static_cast<uint8_t>(sign | 0x7eu);
  if (magnitude < 0x3c800000u) {  // below 2^-6: units of 2^-9
    const float units = std::nearbyint(float_of(magnitude) * 512.0f);
    return static_cast<uint8_t>(sign | static_cast<uint32_t>(units));
  }
  const uint32_t rounded = magnitude + 0x7ffffu + (magnitude >> 20 & 1u) - (120u << 23);
  return static_cast<uint8_t>(sign | rounded >> 20);
}

}  // namespace voiceclone::attention
