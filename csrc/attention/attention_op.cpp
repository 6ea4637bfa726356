// The `attention_decode` op: checks tensors and calls the kernel of their device.
#include "attention/attention.h"
#include "torch_stable.h"

#include <algorithm>
#include <optional>

namespace voiceclone {
namespace {

using attention::Number;
using attention::Problem;
using MaybeTensor = std::optional<Tensor>;

// A task should read about this much of the cache: less is not worth waking another thread for.
constexpr int64_t kBytesPerTask = 256 * 1024;

bool number_of(const Tensor& tensor, Number& number) {
  switch (tensor.scalar_type()) {
    case ScalarType::Float: number = Number::float32; return true;
    case ScalarType::BFloat16: number = Number::bfloat16; return true;
    case ScalarType::Half: number = Number::float16; return true;
    case ScalarType::Char: number = Number::int8; return true;
    case ScalarType::Float8_e4m3fn: number = Number::float8; return true;
    default: return false;
  }
}

void check_cache(const char* name, const Tensor& tensor, const Tensor& keys) {
  check(tensor.dim() == 4 && tensor.is_contiguous() && tensor.scalar_type() == keys.scalar_type(),
        "attention_decode: ", name, " must be contiguous [pages, heads, page_size, dim] of the keys' type");
  for (int i = 0; i < 4; ++i) {
    check(tensor.size(i) == keys.size(i), "attention_decode: ", name, " must have the shape of keys");
  }
}

float* scales(const char* name, const Tensor& tensor, const attention::Cache& cache) {
  if (cache.number != Number::int8) return nullptr;
  check(tensor.scalar_type() == ScalarType::Float && tensor.is_contiguous() && tensor.dim() == 3 &&
            tensor.size(0) == cache.pages && tensor.size(1) == cache.heads && tensor.size(2) == cache.page_size,
        "attention_decode: ", name, " must be contiguous float32 [pages, heads, page_size] beside an int8 cache");
  return tensor.mutable_data_ptr<float>();
}

attention::Tokens tokens(const char* name, const Tensor& tensor, const Tensor& query, int64_t heads) {
  check(tensor.dim() == 4 && tensor.scalar_type() == query.scalar_type() && tensor.size(0) == query.size(0) &&
            tensor.size(1) == query.size(1) && tensor.size(2) == heads && tensor.size(3) == query.size(3),
        "attention_decode: ", name, " must be [B, T, ", heads, ", D] of the query's type");
  check(tensor.numel() == 0 || tensor.stride(3) == 1, "attention_decode: ", name, " must be dense in its last dimension");
  return {tensor.data_ptr(), tensor.stride(0), tensor.stride(1), tensor.stride(2)};
}

const int32_t* numbers_of_rows(const char* name, const Tensor& tensor, int64_t batch) {
  check(tensor.dim() == 1 && tensor.size(0) == batch && tensor.is_contiguous() &&
            tensor.scalar_type() == ScalarType::Int,
        "attention_decode: ", name, " must be contiguous int32 of shape [", batch, "]");
  return tensor.const_data_ptr<int32_t>();
}

const int32_t* numbers_of_rows(const char* name, const MaybeTensor& tensor, int64_t batch) {
  return tensor.has_value() ? numbers_of_rows(name, *tensor, batch) : nullptr;
}

Problem problem(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& keys, const Tensor& values,
                const Tensor& key_scales, const Tensor& value_scales, const Tensor& pages, const Tensor& lengths,
                const MaybeTensor& counts, const MaybeTensor& shared, const MaybeTensor& prefix,
                const MaybeTensor& mask, double scale, const Tensor& out) {
  Problem work{};
  check(query.dim() == 4 && number_of(query, work.number) && work.number <= Number::float16,
        "attention_decode: query must be [B, T, H, D] of float32, bfloat16 or float16");
  check(keys.dim() == 4 && number_of(keys, work.cache.number),
        "attention_decode: keys must be [pages, heads, page_size, dim] of float32, bfloat16, float16, int8 or "
        "float8_e4m3fn");
  check_cache("keys", keys, keys);
  check_cache("values", values, keys);
  work.cache.keys = keys.data_ptr();
  work.cache.values = values.data_ptr();
  work.cache.pages = keys.size(0);
  work.cache.heads = keys.size(1);
  work.cache.page_size = keys.size(2);
  work.cache.dim = keys.size(3);
  work.cache.key_scales = scales("key_scales", key_scales, work.cache);
  work.cache.value_scales = scales("value_scales", value_scales, work.cache);
  check(work.cache.dim == query.size(3) && work.cache.dim > 0 && work.cache.dim <= attention::kMaxDim &&
            work.cache.dim % attention::kDimStep == 0,
        "attention_decode: query and keys must agree on D, a multiple of ", attention::kDimStep, " up to ",
        attention::kMaxDim);
  check(work.cache.heads > 0 && query.size(2) % work.cache.heads == 0,
        "attention_decode: the query's heads must be a multiple of the cache's ", work.cache.heads);
  work.batch = query.size(0);
  work.tokens = query.size(1);
  work.query_heads = query.size(2);
  work.query = tokens("query", query, query, work.query_heads);
  work.key = tokens("key", key, query, work.cache.heads);
  work.value = tokens("value", value, query, work.cache.heads);
  work.out = tokens("out", out, query, work.query_heads);
  check(pages.dim() == 2 && pages.size(0) == work.batch && pages.is_contiguous() &&
            pages.scalar_type() == ScalarType::Int,
        "attention_decode: pages must be contiguous int32 [", work.batch, ", entries]");
  work.pages = pages.const_data_ptr<int32_t>();
  work.page_entries = pages.size(1);
  work.lengths = numbers_of_rows("lengths", lengths, work.batch);
  work.counts = numbers_of_rows("counts", counts, work.batch);
  work.shared = numbers_of_rows("shared", shared, work.batch);
  work.prefix = numbers_of_rows("prefix", prefix, work.batch);
  if (mask.has_value()) {
    check(mask->dim() == 2 && mask->size(0) == work.batch && mask->scalar_type() == ScalarType::Float &&
              mask->is_contiguous(),
          "attention_decode: mask must be contiguous float32 [", work.batch, ", positions]");
    work.mask = mask->const_data_ptr<float>();
    work.mask_stride = mask->size(1);
  }
  work.scale = static_cast<float>(scale);
  for (const Tensor* tensor : {&key, &value, &keys, &values, &pages, &lengths, &out}) {
    check(tensor->device() == query.device(), "attention_decode: all tensors must be on the query's device");
  }
  for (const MaybeTensor* tensor : {&counts, &shared, &prefix, &mask}) {
    check(!tensor->has_value() || (*tensor)->device() == query.device(),
          "attention_decode: all tensors must be on the query's device");
  }
  return work;
}

int64_t entries(int64_t positions, int64_t page_size) { return (positions + page_size - 1) / page_size; }

// On the CPU a wrong number would read or write foreign memory, so each is looked at; returns the positions of all rows.
int64_t check_rows(const Problem& work) {
  int64_t sum = 0;
  for (int64_t b = 0; b < work.batch; ++b) {
    const int64_t length = work.lengths[b];
    const int64_t count = work.counts == nullptr ? work.tokens : work.counts[b];
    const int64_t shared = work.shared == nullptr ? 0 : work.shared[b];
    check(length >= 0 && count >= 0 && count <= work.tokens, "attention_decode: row ", b, " has length ", length,
          " and count ", count, " of ", work.tokens, " tokens");
    check(shared >= 0 && shared <= length, "attention_decode: row ", b, " shares ", shared, " of ", length,
          " positions");
    check(work.mask == nullptr || length + count <= work.mask_stride, "attention_decode: mask has ", work.mask_stride,
          " positions, row ", b, " needs ", length + count);
    if (length + count == 0) continue;
    const int64_t size = work.cache.page_size;
    const int64_t used = size == 0 ? work.page_entries + 1 : entries(shared, size) + entries(length + count - shared, size);
    check(used <= work.page_entries, "attention_decode: row ", b, " needs ", used, " pages for ", length + count,
          " positions, its table has ", work.page_entries);
    const int32_t* pages = work.pages + b * work.page_entries;
    check(std::all_of(pages, pages + used, [&](int32_t page) { return page >= 0 && page < work.cache.pages; }),
          "attention_decode: row ", b, " names a page outside the cache's ", work.cache.pages);
    sum += length + count;
  }
  return sum;
}

void attention_decode_cpu(const Tensor& query, const Tensor& key, const Tensor& value, Tensor keys, Tensor values,
                          Tensor key_scales, Tensor value_scales, const Tensor& pages, const Tensor& lengths,
                          const MaybeTensor& counts, const MaybeTensor& shared, const MaybeTensor& prefix,
                          const MaybeTensor& mask, double scale, Tensor out) {
  const Problem work = problem(query, key, value, keys, values, key_scales, value_scales, pages, lengths, counts,
                               shared, prefix, mask, scale, out);
  const int64_t positions = check_rows(work);
  const int64_t pairs = work.batch * work.cache.heads;
  if (pairs == 0 || work.tokens == 0) return;
  const int64_t row = positions / work.batch * work.cache.dim * attention::bytes_of(work.cache.number) * 2;
  const int64_t bytes = std::max<int64_t>(1, row * work.tokens * (work.query_heads / work.cache.heads));
  torch::stable::parallel_for(0, pairs, std::max<int64_t>(1, kBytesPerTask / bytes),
                              [&](int64_t begin, int64_t end) { attention::attend_batch_cpu(work, begin, end); });
}

#ifdef VOICECLONE_CUDA
void attention_decode_cuda(const Tensor& query, const Tensor& key, const Tensor& value, Tensor keys, Tensor values,
                           Tensor key_scales, Tensor value_scales, const Tensor& pages, const Tensor& lengths,
                           const MaybeTensor& counts, const MaybeTensor& shared, const MaybeTensor& prefix,
                           const MaybeTensor& mask, double scale, Tensor out) {
  const torch::stable::accelerator::DeviceGuard guard(query.get_device_index());
  const Problem work = problem(query, key, value, keys, values, key_scales, value_scales, pages, lengths, counts,
                               shared, prefix, mask, scale, out);
  const char* error = attention::attend_batch_cuda(work, current_cuda_stream(query.get_device_index()));
  check(error == nullptr, "attention_decode: the CUDA kernel was not launched: ", error == nullptr ? "" : error);
}
#endif

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(voiceclone, CPU, m) { m.impl("attention_decode", TORCH_BOX(&attention_decode_cpu)); }
#ifdef VOICECLONE_CUDA
STABLE_TORCH_LIBRARY_IMPL(voiceclone, CUDA, m) { m.impl("attention_decode", TORCH_BOX(&attention_decode_cuda)); }
#endif

}  // namespace voiceclone
