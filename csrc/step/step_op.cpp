// The `decode_step` op: checks tensors, then runs the steps on their device.
#include "step/step.h"
#include "step/team.h"
#include "torch_stable.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

namespace voiceclone {
namespace {

using attention::Number;
using MaybeTensor = std::optional<Tensor>;

// The tensors of one call, by the names of the schema.
struct Arguments {
  const Tensor &weights, &keys, &values, &key_scales, &value_scales, &pages;
  const MaybeTensor& shared;
  const Tensor &state, &hidden, &seen, &settings, &rules, &noise, &tokens, &logprobs, &hiddens, &scratch;
};

step::Shape shape_of(const std::vector<int64_t>& numbers) {
  check(static_cast<int64_t>(numbers.size()) == step::kShapeInts, "decode_step: shape must have ", step::kShapeInts,
        " numbers, but has ", numbers.size());
  step::Shape shape{};
  int64_t* const fields[] = {&shape.layers, &shape.width, &shape.heads, &shape.hidden, &shape.vocabulary, &shape.inputs,
                             &shape.positions};
  size_t at = 0;
  for (int64_t* field : fields) {
    *field = numbers[at++];
    check(*field > 0 && *field <= int64_t{1} << 24, "decode_step: number ", at - 1, " of shape is ", *field);
  }
  check(numbers[at] >= 0 && numbers[at] <= 2 && numbers[at + 1] >= 0 && numbers[at + 1] <= 2,
        "decode_step: shape names an unknown weight format or activation");
  shape.format = static_cast<step::Format>(numbers[at]);
  shape.activation = static_cast<step::Activation>(numbers[at + 1]);
  shape.pre_norm = numbers[at + 2];
  shape.final_norms = numbers[at + 3];
  check(shape.pre_norm >= 0 && shape.pre_norm <= 1 && shape.final_norms >= 0 && shape.final_norms <= 2,
        "decode_step: pre_norm must be 0 or 1, final_norms 0 to 2");
  check(shape.width % shape.heads == 0, "decode_step: width ", shape.width, " is no multiple of ", shape.heads,
        " heads");
  check(shape.vocabulary <= shape.inputs, "decode_step: each of the ", shape.vocabulary,
        " tokens needs an embedding, but there are ", shape.inputs);
  return shape;
}

// Contiguous, of one type and on the device of the weights; returns its data.
template <class T>
T* data(const char* name, const Tensor& tensor, const Tensor& weights, ScalarType type,
        std::initializer_list<int64_t> sizes) {
  bool same = tensor.dim() == static_cast<int64_t>(sizes.size()) && tensor.is_contiguous() &&
              tensor.scalar_type() == type && tensor.device() == weights.device();
  int64_t axis = 0;
  std::ostringstream wanted;
  for (const int64_t size : sizes) {
    same = same && tensor.size(axis) == size;
    wanted << (axis++ == 0 ? "" : ", ") << size;
  }
  check(same, "decode_step: ", name, " must be contiguous [", wanted.str(),
        "] of its type, on the device of the weights");
  return static_cast<T*>(tensor.data_ptr());
}

void check_cache(const char* name, const Tensor& tensor, const step::Shape& shape, const Tensor& keys) {
  bool same = tensor.dim() == 5 && tensor.is_contiguous() && tensor.scalar_type() == keys.scalar_type() &&
              tensor.size(0) == shape.layers && tensor.size(2) == shape.heads && tensor.size(4) == shape.head_dim();
  for (int axis = 0; same && axis < 5; ++axis) same = tensor.size(axis) == keys.size(axis);
  check(same, "decode_step: ", name, " must be contiguous [", shape.layers, ", pages, ", shape.heads, ", page_size, ",
        shape.head_dim(), "], keys and values alike");
}

attention::Cache cache_of(const Arguments& given, const step::Shape& shape) {
  attention::Cache cache{};
  switch (given.keys.scalar_type()) {
    case ScalarType::Float: cache.number = Number::float32; break;
    case ScalarType::BFloat16: cache.number = Number::bfloat16; break;
    case ScalarType::Half: cache.number = Number::float16; break;
    case ScalarType::Char: cache.number = Number::int8; break;
    case ScalarType::Float8_e4m3fn: cache.number = Number::float8; break;
    default: check(false, "decode_step: keys must be float32, bfloat16, float16, int8 or float8_e4m3fn");
  }
  check(shape.head_dim() % attention::kDimStep == 0 && shape.head_dim() <= attention::kMaxDim,
        "decode_step: a head's width must be a multiple of ", attention::kDimStep, " up to ", attention::kMaxDim);
  check_cache("keys", given.keys, shape, given.keys);
  check_cache("values", given.values, shape, given.keys);
  cache.keys = given.keys.data_ptr();
  cache.values = given.values.data_ptr();
  cache.pages = given.keys.size(1);
  cache.heads = shape.heads;
  cache.page_size = given.keys.size(3);
  cache.dim = shape.head_dim();
  check(cache.page_size > 0, "decode_step: a page of the cache must hold positions");
  if (cache.number == Number::int8) {
    const auto sizes = {shape.layers, cache.pages, cache.heads, cache.page_size};
    cache.key_scales = data<float>("key_scales", given.key_scales, given.weights, ScalarType::Float, sizes);
    cache.value_scales = data<float>("value_scales", given.value_scales, given.weights, ScalarType::Float, sizes);
  }
  return cache;
}

step::Problem problem_of(const Arguments& given, const std::vector<int64_t>& numbers, double epsilon,
                         int64_t stop_after) {
  step::Problem work{};
  work.shape = shape_of(numbers);
  const step::Shape& shape = work.shape;
  const Tensor& weights = given.weights;
  work.weights = data<uint8_t>("weights", weights, weights, ScalarType::Byte, {step::Layout(shape).bytes});
  check(reinterpret_cast<uintptr_t>(work.weights) % 16 == 0, "decode_step: weights must begin on a multiple of 16 bytes");
  work.epsilon = static_cast<float>(epsilon);
  work.cache = cache_of(given, shape);
  work.scale_floats = work.cache.pages * work.cache.heads * work.cache.page_size;
  work.cache_bytes = work.scale_floats * work.cache.dim * attention::bytes_of(work.cache.number);
  check(given.pages.dim() == 2 && given.tokens.dim() == 2, "decode_step: pages and tokens must be [B, ...]");
  const int64_t batch = work.batch = given.pages.size(0), steps = work.steps = given.tokens.size(1);
  work.page_entries = given.pages.size(1);
  work.pages = data<int32_t>("pages", given.pages, weights, ScalarType::Int, {batch, work.page_entries});
  if (given.shared.has_value()) {
    work.shared = data<int32_t>("shared", *given.shared, weights, ScalarType::Int, {batch});
  }
  work.state = data<int32_t>("state", given.state, weights, ScalarType::Int, {step::kStateInts, batch});
  work.hidden = data<float>("hidden", given.hidden, weights, ScalarType::Float, {batch, shape.width});
  work.seen = data<uint8_t>("seen", given.seen, weights, ScalarType::Bool, {batch, shape.vocabulary});
  work.settings = data<float>("settings", given.settings, weights, ScalarType::Float, {batch, step::kSettings});
  work.rules = data<int32_t>("rules", given.rules, weights, ScalarType::Int, {batch, step::kRules});
  check(given.noise.dim() == 3 && (given.noise.size(2) == 1 || given.noise.size(2) == shape.vocabulary),
        "decode_step: noise must be [steps, B, 1] (uniform) or [steps, B, ", shape.vocabulary, "] (exponential)");
  work.noise_width = given.noise.size(2);
  work.noise = data<float>("noise", given.noise, weights, ScalarType::Float, {steps, batch, work.noise_width});
  work.tokens = data<int32_t>("tokens", given.tokens, weights, ScalarType::Int, {batch, steps});
  work.logprobs = data<float>("logprobs", given.logprobs, weights, ScalarType::Float, {batch, steps});
  work.hiddens = data<float>("hiddens", given.hiddens, weights, ScalarType::Float, {batch, steps, shape.width});
  work.scratch = data<float>("scratch", given.scratch, weights, ScalarType::Float,
                             {batch, step::Scratch(shape).floats});
  work.stop_after = stop_after;
  return work;
}

// On the CPU a wrong number would read or write foreign memory, so each is looked at.
void check_rows(const step::Problem& work) {
  int32_t header[1 + step::kShapeInts] = {};
  std::memcpy(header, work.weights, sizeof header);
  const step::Shape& shape = work.shape;
  const int64_t wanted[] = {step::kMagic, shape.layers, shape.width, shape.heads, shape.hidden, shape.vocabulary,
                            shape.inputs, shape.positions, static_cast<int64_t>(shape.format),
                            static_cast<int64_t>(shape.activation), shape.pre_norm, shape.final_norms};
  check(std::equal(std::begin(wanted), std::end(wanted), header), "decode_step: the weights were packed for another shape");
  const int64_t size = work.cache.page_size;
  for (int64_t row = 0; row < work.batch; ++row) {
    const int64_t length = work.state[step::kLength * work.batch + row];
    const int64_t shared = work.shared == nullptr ? 0 : work.shared[row];
    if (work.state[step::kDone * work.batch + row] != step::kRunning) continue;
    check(length >= 0 && shared >= 0 && shared <= length, "decode_step: row ", row, " has length ", length,
          " and shares ", shared, " positions");
    const int64_t room = step::capacity(work, row);
    check(room >= shared && length <= room, "decode_step: row ", row, " has length ", length,
          ", its pages hold ", room, " positions");
    const int64_t own = std::min(length + work.steps, room) - shared;
    const int64_t used = (shared + size - 1) / size + (own + size - 1) / size;
    const int32_t* pages = work.pages + row * work.page_entries;
    check(std::all_of(pages, pages + used, [&](int32_t page) { return page >= 0 && page < work.cache.pages; }),
          "decode_step: row ", row, " names a page outside the cache's ", work.cache.pages);
  }
}

void decode_step_cpu(const Tensor& weights, std::vector<int64_t> shape, double epsilon, Tensor keys, Tensor values,
                     Tensor key_scales, Tensor value_scales, const Tensor& pages, const MaybeTensor& shared,
                     Tensor state, Tensor hidden, Tensor seen, const Tensor& settings, const Tensor& rules,
                     const Tensor& noise, Tensor tokens, Tensor logprobs, Tensor hiddens, Tensor scratch,
                     int64_t stop_after) {
  const Arguments given{weights, keys,     values, key_scales, value_scales, pages,    shared,  state,  hidden,
                        seen,    settings, rules,  noise,      tokens,       logprobs, hiddens, scratch};
  const step::Problem work = problem_of(given, shape, epsilon, stop_after);
  check_rows(work);
  if (work.batch == 0 || work.steps == 0) return;
  const int64_t threads = std::max<int64_t>(1, torch::stable::get_num_threads());
  step::Team team(threads - 1, step::most_chunks(work), step::buffer_floats(work));
  if (threads == 1) {
    step::decode_cpu(work, team);
    return;
  }
  // One task a thread, for the whole call: that of the caller leads, the others help for as long as it does.
  torch::stable::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    if (begin > 0) {
      for (int64_t helper = begin; helper < end; ++helper) team.help(helper - 1);
      return;
    }
    try {
      step::decode_cpu(work, team);
    } catch (...) {
      team.close();
      throw;
    }
    team.close();
  });
}

#ifdef VOICECLONE_CUDA
void decode_step_cuda(const Tensor& weights, std::vector<int64_t> shape, double epsilon, Tensor keys, Tensor values,
                      Tensor key_scales, Tensor value_scales, const Tensor& pages, const MaybeTensor& shared,
                      Tensor state, Tensor hidden, Tensor seen, const Tensor& settings, const Tensor& rules,
                      const Tensor& noise, Tensor tokens, Tensor logprobs, Tensor hiddens, Tensor scratch,
                      int64_t stop_after) {
  const torch::stable::accelerator::DeviceGuard guard(weights.get_device_index());
  const Arguments given{weights, keys,     values, key_scales, value_scales, pages,    shared,  state,  hidden,
                        seen,    settings, rules,  noise,      tokens,       logprobs, hiddens, scratch};
  const step::Problem work = problem_of(given, shape, epsilon, stop_after);
  if (work.batch == 0 || work.steps == 0) return;
  const int64_t bytes[] = {step::cuda_workspace_bytes(work)};
  Tensor workspace = torch::stable::new_empty(weights, {bytes, 1});
  const char* error = step::decode_cuda(work, workspace.mutable_data_ptr(), current_cuda_stream(weights.get_device_index()));
  check(error == nullptr, "decode_step: the CUDA kernels were not launched: ", error == nullptr ? "" : error);
}
#endif

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(voiceclone, CPU, m) { m.impl("decode_step", TORCH_BOX(&decode_step_cpu)); }
#ifdef VOICECLONE_CUDA
STABLE_TORCH_LIBRARY_IMPL(voiceclone, CUDA, m) { m.impl("decode_step", TORCH_BOX(&decode_step_cuda)); }
#endif

}  // namespace voiceclone
