// The linear kernels' entry: the best kernel of this processor, and the plain one that runs on any.
#include "step/linear.h"

#include "common/cpu.h"

#include <cstring>

namespace voiceclone::step {
namespace {

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

void float_tiles(const Matrix& matrix, const Rows& rows, int64_t begin, int64_t end, float* out, int64_t stride) {
  for (int64_t tile = begin; tile < end; ++tile, out += kTile) {
    const float* words = reinterpret_cast<const float*>(matrix.words + tile * matrix.tile_bytes);
    for (int64_t row = 0; row < rows.count; ++row) {
      const float* x = reinterpret_cast<const float*>(rows.data + row * rows.row_bytes);
      float sum[kTile] = {};
      for (int64_t k = 0; k < matrix.padded_inputs; ++k) {
        for (int64_t i = 0; i < kTile; ++i) sum[i] += words[k * kTile + i] * x[k];
      }
      for (int64_t i = 0; i < kTile; ++i) out[row * stride + i] = sum[i] + matrix.bias[tile * kTile + i];
    }
  }
}

void bfloat16_tiles(const Matrix& matrix, const Rows& rows, int64_t begin, int64_t end, float* out, int64_t stride) {
  for (int64_t tile = begin; tile < end; ++tile, out += kTile) {
    const uint32_t* words = reinterpret_cast<const uint32_t*>(matrix.words + tile * matrix.tile_bytes);
    for (int64_t row = 0; row < rows.count; ++row) {
      const uint32_t* x = reinterpret_cast<const uint32_t*>(rows.data + row * rows.row_bytes);
      float sum[kTile] = {};
      for (int64_t k = 0; k < matrix.padded_inputs / 2; ++k) {
        const float even = float_of(x[k] << 16), odd = float_of(x[k] & 0xffff0000u);
        for (int64_t i = 0; i < kTile; ++i) {
          const uint32_t word = words[k * kTile + i];
          sum[i] += float_of(word << 16) * even;
          sum[i] += float_of(word & 0xffff0000u) * odd;
        }
      }
      for (int64_t i = 0; i < kTile; ++i) out[row * stride + i] = sum[i] + matrix.bias[tile * kTile + i];
    }
  }
}

void int8_tiles(const Matrix& matrix, const Rows& rows, int64_t begin, int64_t end, float* out, int64_t stride) {
  for (int64_t tile = begin; tile < end; ++tile, out += kTile) {
    const uint8_t* words = matrix.words + tile * matrix.tile_bytes;
    for (int64_t row = 0; row < rows.count; ++row) {
      float total[kTile] = {};
      for (int64_t group = 0; group < rows.groups; ++group) {
        const int8_t* x = reinterpret_cast<const int8_t*>(rows.data + row * rows.row_bytes) + group * kGroup;
        int32_t sum[kTile];
        for (int32_t& value : sum) value = rows.sum[row * rows.groups + group];
        for (int64_t k = 0; k < kGroup; ++k) {
          const uint8_t* line = words + (group * kGroup + k) / 4 * kLine + k % 4;
          for (int64_t i = 0; i < kTile; ++i) sum[i] += line[4 * i] * x[k];
        }
        const float scale = rows.scale[row * rows.groups + group];
        for (int64_t i = 0; i < kTile; ++i) total[i] += static_cast<float>(sum[i]) * scale;
      }
      for (int64_t i = 0; i < kTile; ++i) {
        out[row * stride + i] = total[i] * matrix.scale[tile * kTile + i] + matrix.bias[tile * kTile + i];
      }
    }
  }
}

detail::Kernel best_kernel(Format format) {
#if VOICECLONE_X86
  if (best_level() == CpuLevel::avx512) {
    if (detail::Kernel kernel = detail::avx512_kernel(format)) return kernel;
  }
  if (best_level() >= CpuLevel::avx2) return detail::avx2_kernel(format);
#endif
  return detail::plain_kernel(format);
}

}  // namespace

detail::Kernel detail::plain_kernel(Format format) {
  return format == Format::float32 ? float_tiles : format == Format::bfloat16 ? bfloat16_tiles : int8_tiles;
}

void linear_cpu(const Matrix& matrix, Format format, const Rows& rows, int64_t begin, int64_t end, float* out,
                int64_t stride) {
  static const detail::Kernel kernels[] = {best_kernel(Format::float32), best_kernel(Format::bfloat16),
                                           best_kernel(Format::int8)};
  kernels[static_cast<int64_t>(format)](matrix, rows, begin, end, out, stride);
}

}  // namespace voiceclone::step
