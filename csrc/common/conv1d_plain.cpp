// conv1d in plain C++ for every processor: four lanes that a compiler may turn into whatever vectors there are.
#define VOICECLONE_CONV1D_KERNELS 1
#include "common/conv1d_kernel.h"

#include <cmath>
#include <cstring>

namespace voiceclone::conv1d {
namespace plain {
namespace {

template <class Value>
struct Four {
  Value at[4];
};

template <class Value, class Operation>
Four<Value> each(Operation operation) {
  return {{operation(0), operation(1), operation(2), operation(3)}};
}

using F = Four<float>;

template <Type>
struct Product;

template <>
struct Product<Type::float32> {
  using Acc = F;
  using Weights = F;
  using Inputs = float;
  static Acc clear() { return {}; }
  static Weights load(const uint8_t* p) {
    F v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static Inputs broadcast(const uint8_t* p) {
    float v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static Acc dot(const Acc& acc, Inputs x, const Weights& w) {
    return each<float>([&](int i) { return acc.at[i] + x * w.at[i]; });
  }
  static F sum(const Acc& acc, const float*, const int32_t*) { return acc; }
  static void put(uint8_t* p, const F& v, const float*, const float*) { std::memcpy(p, &v, sizeof v); }
};

template <>
struct Product<Type::bfloat16> {
  using Acc = F;
  using Weights = Four<uint32_t>;
  using Inputs = uint32_t;
  static Acc clear() { return {}; }
  static Weights load(const uint8_t* p) {
    Weights v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static Inputs broadcast(const uint8_t* p) {
    uint32_t v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static float number(uint32_t bits) {
    float v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
  }
  static Acc dot(const Acc& acc, Inputs x, const Weights& w) {
    return each<float>([&](int i) {
      const float even = acc.at[i] + number(x << 16) * number(w.at[i] << 16);
      return even + number(x & 0xffff0000u) * number(w.at[i] & 0xffff0000u);
    });
  }
  static F sum(const Acc& acc, const float*, const int32_t*) { return acc; }
  static void put(uint8_t* p, const F& v, const float*, const float*) {
    for (int i = 0; i < 4; ++i) {
      uint32_t bits;
      std::memcpy(&bits, &v.at[i], sizeof bits);
      const auto half = static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
      std::memcpy(p + 2 * i, &half, sizeof half);
    }
  }
};

template <>
struct Product<Type::int8> {
  using Acc = Four<int32_t>;
  struct Weights {
    int8_t at[4][4];
  };
  struct Inputs {
    uint8_t at[4];
  };
  static Acc clear() { return {}; }
  static Weights load(const uint8_t* p) {
    Weights v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static Inputs broadcast(const uint8_t* p) { return {{p[0], p[1], p[2], p[3]}}; }
  static Acc dot(const Acc& acc, const Inputs& x, const Weights& w) {
    return each<int32_t>([&](int i) {
      return acc.at[i] + x.at[0] * w.at[i][0] + x.at[1] * w.at[i][1] + x.at[2] * w.at[i][2] + x.at[3] * w.at[i][3];
    });
  }
  static F sum(const Acc& acc, const float* scale, const int32_t* zero) {
    return each<float>([&](int i) { return static_cast<float>(acc.at[i] - zero[i]) * scale[i]; });
  }
  static void put(uint8_t* p, const F& v, const float* multiply, const float* offset) {
    for (int i = 0; i < 4; ++i) {
      const float whole = std::nearbyint(v.at[i] * multiply[i] + offset[i]);
      p[i] = static_cast<uint8_t>(whole > 0.0f ? (whole < 255.0f ? whole : 255.0f) : 0.0f);
    }
  }
};

struct Isa {
  using F = plain::F;
  static constexpr int64_t kWidth = 4;
  template <Type>
  static constexpr int rows() {
    return 4;
  }
  template <Type kType>
  using Dot = Product<kType>;
  static F load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
  static void store(float* p, const F& v) { std::memcpy(p, &v, sizeof v); }
  static F set1(float v) { return {{v, v, v, v}}; }
  static F add(const F& a, const F& b) {
    return each<float>([&](int i) { return a.at[i] + b.at[i]; });
  }
  static F sub(const F& a, const F& b) {
    return each<float>([&](int i) { return a.at[i] - b.at[i]; });
  }
  static F mul(const F& a, const F& b) {
    return each<float>([&](int i) { return a.at[i] * b.at[i]; });
  }
  static F max(const F& a, const F& b) {
    return each<float>([&](int i) { return a.at[i] > b.at[i] ? a.at[i] : b.at[i]; });
  }
};

}  // namespace
}  // namespace plain

Function plain_kernel(Type type) {
  return type == Type::float32    ? &Kernel<plain::Isa, Type::float32>::run
         : type == Type::bfloat16 ? &Kernel<plain::Isa, Type::bfloat16>::run
                                  : &Kernel<plain::Isa, Type::int8>::run;
}

}  // namespace voiceclone::conv1d
