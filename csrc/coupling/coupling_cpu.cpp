// The WaveNet and the coupling layer on the CPU: layer after layer over a segment of time, in tiles that fit the cache.
#include "coupling/coupling.h"
#include "coupling/gates.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

namespace voiceclone::coupling {
namespace {

using conv1d::Layer;
using conv1d::Run;

// Frames whose gates are held at once; conv1d makes about as many from one pass over a VITS layer's weights.
constexpr int64_t kTile = 192;

int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

// Rows of padded channels with zeros on both sides, as convolutions read them; row 0 is the segment's first frame.
struct Rows {
  float* data;  // row 0
  int64_t stride;

  float* row(int64_t t) const { return data + t * stride; }
};

// One allocation for all that a segment needs, aligned, cut up in order.
class Arena {
 public:
  explicit Arena(int64_t floats)
      : lines_(new Line[static_cast<size_t>(floats / kLine + 1)]), next_(lines_[0].cells) {}

  float* take(int64_t floats) {
    float* here = next_;
    next_ += round_up(floats, kLine);
    return here;
  }

  // `before` and `after` rows of zeros around `rows` rows that are zero too where `zero` says so.
  Rows rows(int64_t before, int64_t rows, int64_t after, int64_t stride, bool zero) {
    float* start = take((before + rows + after) * stride);
    std::memset(start, 0, static_cast<size_t>((before + (zero ? rows + after : 0)) * stride) * sizeof(float));
    if (!zero) {
      std::memset(start + (before + rows) * stride, 0, static_cast<size_t>(after * stride) * sizeof(float));
    }
    return {start + before * stride, stride};
  }

  static int64_t size(int64_t rows, int64_t stride) { return round_up(rows * stride, kLine); }

 private:
  static constexpr int64_t kLine = conv1d::kAlign / sizeof(float);
  struct alignas(conv1d::kAlign) Line {
    float cells[kLine];
  };
  std::unique_ptr<Line[]> lines_;
  float* next_;
};

// A segment with the frames around it that it needs: frames [low, high) of the sample, which are rows [0, rows).
struct Window {
  int64_t low, rows;
  int64_t before, after;  // rows beyond, which convolutions read

  Window(const Stack& stack, const Segment& segment, int64_t length) {
    const int64_t halo = segment_halo(stack), step = segment_step(stack);
    low = std::max<int64_t>(0, segment.begin - halo) / step * step;
    rows = std::min(length, segment.end + halo) - low;
    before = after = 0;
    for (int64_t layer = 0; layer < stack.count; ++layer) {
      const Layer& in = stack.in(layer);
      before = std::max(before, in.left);
      after = std::max(after, in.input_end((rows + in.span() - 1) / in.span()) - rows);
    }
  }
};

int64_t tile_rows(const Stack& stack) { return round_up(kTile, segment_step(stack)); }

int64_t scratch_floats(const Stack& stack, const Layer* pre, const Layer* post) {
  int64_t bytes = 0;
  for (int64_t layer = 0; layer < 3 * stack.count - 1; ++layer) {
    bytes = std::max(bytes, conv1d::scratch_bytes(stack.layers[layer]));
  }
  for (const Layer* layer : {pre, post}) {
    if (layer != nullptr) bytes = std::max(bytes, conv1d::scratch_bytes(*layer));
  }
  return bytes / static_cast<int64_t>(sizeof(float)) + 1;
}

// Rows [first, last) of a convolution with one tap.
void pointwise(const Layer& layer, const Rows& x, const Rows& y, const Rows* residual, int64_t first, int64_t last,
               float* scratch) {
  Run run;
  run.x = x.data;
  run.x_stride = x.stride;
  run.y = y.data;
  run.y_stride = y.stride;
  if (residual != nullptr) {
    run.residual = residual->data;
    run.residual_stride = residual->stride;
  }
  run.first = first;
  run.last = last;
  conv1d::run(layer, run, scratch);
}

// What the stack works in; `h` goes in and is lost, `skip` comes out.
struct Work {
  Rows h, other, gates, active, skip;
  float* scratch;

  static int64_t floats(const Stack& stack, const Window& window, int64_t scratch) {
    const int64_t hidden = conv1d::padded(stack.hidden), tile = tile_rows(stack);
    const int64_t guarded = Arena::size(window.before + window.rows + window.after, hidden);
    return 2 * guarded + Arena::size(tile, 2 * hidden) + Arena::size(tile, hidden) +
           Arena::size(window.rows, hidden) + Arena::size(scratch, 1);
  }

  Work(Arena& arena, const Stack& stack, const Window& window, int64_t scratch_size) {
    const int64_t hidden = conv1d::padded(stack.hidden), tile = tile_rows(stack);
    h = arena.rows(window.before, window.rows, window.after, hidden, false);
    other = arena.rows(window.before, window.rows, window.after, hidden, false);
    gates = arena.rows(0, tile, 0, 2 * hidden, false);
    active = arena.rows(0, tile, 0, hidden, true);  // the padded channels are never written again
    skip = arena.rows(0, window.rows, 0, hidden, false);
    scratch = arena.take(scratch_size);
  }
};

void run_stack(const Stack& stack, const Signal& signal, int64_t sample, const Window& window, Work& work) {
  const Gates gates = best_gates();
  const int64_t hidden = stack.hidden, padded = conv1d::padded(hidden), tile = tile_rows(stack);
  const float* condition = signal.condition;
  if (condition != nullptr) {
    condition += sample * signal.condition_batch_stride + window.low * signal.condition_frame_stride;
  }
  for (int64_t layer = 0; layer < stack.count; ++layer) {
    const Layer& in = stack.in(layer);
    for (int64_t first = 0; first < window.rows; first += tile) {
      const int64_t last = std::min(first + tile, window.rows);
      Run run;
      run.x = work.h.data;
      run.x_stride = work.h.stride;
      run.y = work.gates.row(-first);
      run.y_stride = work.gates.stride;
      run.first = first / in.span();
      run.last = (last + in.span() - 1) / in.span();
      conv1d::run(in, run, work.scratch);
      for (int64_t t = first; t < last; ++t) {
        const float* a = work.gates.row(t - first);
        const float* at = nullptr;
        if (condition != nullptr) at = condition + t * signal.condition_frame_stride + layer * 2 * hidden;
        gates.gate(a, a + padded, at, at == nullptr ? nullptr : at + hidden, work.active.row(t - first), hidden);
      }
      const Rows active{work.active.row(-first), work.active.stride};
      if (layer + 1 < stack.count) {
        pointwise(stack.res(layer), active, work.other, &work.h, first, last, work.scratch);
      }
      pointwise(stack.skip(layer), active, work.skip, layer > 0 ? &work.skip : nullptr, first, last, work.scratch);
    }
    std::swap(work.h, work.other);
  }
}

// Frames of the window, channels [offset, offset + channels), as rows.
void read(const Signal& signal, int64_t sample, const Window& window, int64_t offset, int64_t channels, const Rows& to) {
  const float* x = signal.x + sample * signal.batch_stride + window.low * signal.frame_stride +
                   offset * signal.channel_stride;
  for (int64_t t = 0; t < window.rows; ++t, x += signal.frame_stride) {
    float* row = to.row(t);
    if (signal.channel_stride == 1) {
      std::memcpy(row, x, static_cast<size_t>(channels) * sizeof(float));
    } else {
      for (int64_t c = 0; c < channels; ++c) row[c] = x[c * signal.channel_stride];
    }
    std::fill(row + channels, row + to.stride, 0.0f);
  }
}

// y and the changed half of one frame from its shift, which is [m] or [m, logs], each `padded` wide.
void shift_frame(const Signal& signal, const Coupling& coupling, const Gates& gates, int64_t sample, int64_t frame,
                 float* shift, int64_t padded) {
  const int64_t half = signal.channels / 2, changed = coupling.swapped ? 0 : half;
  const int64_t step = signal.channel_stride;
  const float* x = signal.x + sample * signal.batch_stride + frame * signal.frame_stride + changed * step;
  float* y = signal.y + (sample * signal.frames + frame) * signal.channels + changed;
  if (coupling.mean_only) {
    for (int64_t c = 0; c < half; ++c) y[c] = coupling.reverse ? x[c * step] - shift[c] : x[c * step] + shift[c];
    return;
  }
  float* logs = shift + padded;
  float total = 0.0f;
  for (int64_t c = 0; c < half; ++c) {
    if (coupling.reverse) logs[c] = -logs[c];
    total += logs[c];
  }
  coupling.log_scale[sample * signal.frames + frame] = total;
  gates.exponential(logs, half);
  for (int64_t c = 0; c < half; ++c) {
    const float value = x[c * step];
    y[c] = coupling.reverse ? (value - shift[c]) * logs[c] : value * logs[c] + shift[c];
  }
}

}  // namespace

int64_t segment_halo(const Stack& stack) {
  int64_t halo = 0;
  for (int64_t layer = 0; layer < stack.count; ++layer) {
    const Layer& in = stack.in(layer);
    // All that a block reads, because sums that cancel still round.
    halo += std::max(in.left + in.span() - 1, in.input_end(1) - 1);
  }
  return halo;
}

int64_t segment_step(const Stack& stack) {
  int64_t step = 1;
  for (int64_t layer = 0; layer < stack.count; ++layer) {
    const int64_t span = stack.in(layer).span();
    int64_t a = step, b = span;
    while (b != 0) a = std::exchange(b, a % b);
    step = step / a * span;
  }
  return step;
}

void wavenet_cpu(const Stack& stack, const Signal& signal, const Segment& segment) {
  const int64_t length = signal.length(segment.sample), end = std::min(segment.end, length);
  float* y = signal.y + segment.sample * signal.frames * signal.channels;
  std::fill(y + std::max(segment.begin, end) * signal.channels, y + segment.end * signal.channels, 0.0f);
  if (end <= segment.begin) return;
  const Window window(stack, {segment.sample, segment.begin, end}, length);
  const int64_t scratch = scratch_floats(stack, nullptr, nullptr);
  Arena arena(Work::floats(stack, window, scratch));
  Work work(arena, stack, window, scratch);
  read(signal, segment.sample, window, 0, signal.channels, work.h);
  run_stack(stack, signal, segment.sample, window, work);
  for (int64_t t = segment.begin; t < end; ++t) {
    std::memcpy(y + t * signal.channels, work.skip.row(t - window.low),
                static_cast<size_t>(signal.channels) * sizeof(float));
  }
}

void coupling_cpu(const Stack& stack, const Signal& signal, const Coupling& coupling, const Segment& segment) {
  const int64_t half = signal.channels / 2, kept = coupling.swapped ? half : 0;
  const int64_t length = signal.length(segment.sample), end = std::min(segment.end, length);
  float* y = signal.y + segment.sample * signal.frames * signal.channels;
  const float* x = signal.x + segment.sample * signal.batch_stride;
  std::fill_n(coupling.log_scale + segment.sample * signal.frames + segment.begin, segment.end - segment.begin, 0.0f);
  for (int64_t t = segment.begin; t < end; ++t) {
    for (int64_t c = kept; c < kept + half; ++c) {
      y[t * signal.channels + c] = x[t * signal.frame_stride + c * signal.channel_stride];
    }
  }
  const int64_t padding = std::max(segment.begin, end);
  std::fill(y + padding * signal.channels, y + segment.end * signal.channels, 0.0f);
  if (end <= segment.begin) return;

  const Window window(stack, {segment.sample, segment.begin, end}, length);
  const int64_t scratch = scratch_floats(stack, coupling.pre, coupling.post);
  const int64_t tile = tile_rows(stack);
  Arena arena(Work::floats(stack, window, scratch) + Arena::size(window.rows, coupling.pre->in) +
              Arena::size(tile, coupling.post->out));
  Work work(arena, stack, window, scratch);
  const Rows input = arena.rows(0, window.rows, 0, coupling.pre->in, false);
  const Rows shift = arena.rows(0, tile, 0, coupling.post->out, false);
  read(signal, segment.sample, window, kept, half, input);
  pointwise(*coupling.pre, input, work.h, nullptr, 0, window.rows, work.scratch);
  run_stack(stack, signal, segment.sample, window, work);

  const Gates gates = best_gates();
  const int64_t padded = conv1d::padded(half);
  for (int64_t first = segment.begin; first < end; first += tile) {
    const int64_t last = std::min(first + tile, end);
    const Rows skip{work.skip.row(first - window.low), work.skip.stride};
    pointwise(*coupling.post, skip, shift, nullptr, 0, last - first, work.scratch);
    for (int64_t t = first; t < last; ++t) {
      shift_frame(signal, coupling, gates, segment.sample, t, shift.row(t - first), padded);
    }
  }
}

}  // namespace voiceclone::coupling
