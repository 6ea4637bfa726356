// Passing a chain of convolutions over a signal in tiles, and reading packed layers.
#include "common/conv_chain.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>

namespace voiceclone::conv1d {
namespace {

// What a line gets at once: small enough that the chain's lines and scratch stay in the L2 cache.
constexpr int64_t kStepBytes = 128 << 10;
constexpr int64_t kLeastStep = 240;

struct Free {
  void operator()(void* data) const { std::free(data); }
};

template <class Value>
std::unique_ptr<Value, Free> allocate(int64_t count) {
  const size_t bytes = (static_cast<size_t>(count) * sizeof(Value) + kAlign - 1) / kAlign * kAlign;
  void* data = std::aligned_alloc(kAlign, std::max<size_t>(bytes, kAlign));
  if (data == nullptr) throw std::bad_alloc();
  return std::unique_ptr<Value, Free>(static_cast<Value*>(data));
}

int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }
int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

// Rows [base, end) of one layer's result, or of the input; older rows make place for newer ones.
struct Line {
  int64_t channels = 0, capacity = 0;
  int64_t need_begin = 0, need_end = 0;  // rows that any layer will ever read
  int64_t base = 0, end = 0;
  std::unique_ptr<float, Free> data;

  float* row(int64_t t) { return data.get() + (t - base) * channels; }

  void open(int64_t width, int64_t rows) {
    channels = width;
    capacity = rows;
    base = end = need_begin;
    data = allocate<float>(rows * width);
  }

  // Makes place for `rows` more; those before `keep` may go.
  void reserve(int64_t rows, int64_t keep) {
    if (end - base + rows <= capacity) return;
    keep = std::clamp(keep, base, end);
    std::memmove(data.get(), row(keep), static_cast<size_t>((end - keep) * channels) * sizeof(float));
    base = keep;
  }

  void zero(int64_t from, int64_t to) {
    if (from < to) std::memset(row(from), 0, static_cast<size_t>((to - from) * channels) * sizeof(float));
  }
};

class Pass {
 public:
  Pass(const std::vector<Link>& links, const Signal& signal, int64_t begin, int64_t end)
      : links_(links), signal_(signal), begin_(begin), end_(end), lines_(links.size() + 1), next_(links.size()) {
    plan();
    const int64_t rows = kStepBytes / (lines_[0].channels * int64_t{sizeof(float)});
    int64_t period = 1, backlog = 0, scratch = 0;
    for (const Link& link : links_) {
      period = std::lcm(period, link.layer.span());
      backlog += link.layer.span() * (link.layer.pieces() + 4) + link.layer.left;
      scratch = std::max(scratch, scratch_bytes(link.layer));
    }
    // In step with all superblocks, every tile has the same number of rows for every layer.
    const int64_t wanted = std::max(rows, kLeastStep);
    step_ = wanted / period > 0 ? wanted / period * period : wanted;
    for (Line& line : lines_) {
      const int64_t longest = line.need_end - line.need_begin + backlog;
      line.open(line.channels, std::min(2 * step_ + 3 * backlog, longest));
    }
    scratch_ = allocate<uint8_t>(scratch);
  }

  void run(Sink& sink) {
    Line& last = lines_.back();
    while (last.end < end_) {
      feed();
      for (size_t layer = 0; layer < links_.size(); ++layer) advance(layer);
      drain(sink);
    }
  }

 private:
  // From the last layer backwards: which superblocks each layer computes, which rows each line must hold.
  void plan() {
    const auto count = static_cast<int64_t>(links_.size());
    lines_[0].channels = links_.front().layer.in;
    lines_.back().need_begin = begin_;
    lines_.back().need_end = end_;
    for (int64_t n = 0; n < count; ++n) {
      Line& line = lines_[static_cast<size_t>(n)];
      line.need_begin = end_;
      line.need_end = begin_;
    }
    for (int64_t n = count - 1; n >= 0; --n) {
      const Link& link = links_[static_cast<size_t>(n)];
      Line& out = lines_[static_cast<size_t>(n) + 1];
      out.channels = link.layer.out;
      const int64_t span = link.layer.span();
      const int64_t first = floor_div(out.need_begin, span), last = ceil_div(out.need_end, span);
      next_[static_cast<size_t>(n)] = first;
      out.need_begin = span * first;
      out.need_end = span * last;
      Line& in = lines_[static_cast<size_t>(n)];
      in.need_begin = std::min(in.need_begin, link.layer.input_begin(first));
      in.need_end = std::max(in.need_end, link.layer.input_end(last));
      if (link.residual < 0) continue;
      Line& more = lines_[static_cast<size_t>(link.residual)];
      more.need_begin = std::min(more.need_begin, out.need_begin);
      more.need_end = std::max(more.need_end, out.need_end);
    }
  }

  // The first row of a line that a layer has yet to read.
  int64_t keep(size_t line) const {
    int64_t from = line < links_.size() ? links_[line].layer.input_begin(next_[line]) : lines_[line].end;
    for (size_t n = 0; n < links_.size(); ++n) {
      if (links_[n].residual == static_cast<int64_t>(line)) from = std::min(from, links_[n].layer.span() * next_[n]);
    }
    return from;
  }

  void feed() {
    Line& line = lines_[0];
    const int64_t to = std::min(line.need_end, line.end + step_);
    line.reserve(to - line.end, keep(0));
    const int64_t first = std::clamp(signal_.start, line.end, to);
    const int64_t last = std::clamp(signal_.start + signal_.time, first, to);
    line.zero(line.end, first);
    line.zero(last, to);
    const int64_t width = signal_.channels;
    const float* x = signal_.x + (first - signal_.start) * width;
    for (int64_t t = first; t < last; ++t, x += width) {
      float* row = line.row(t);
      std::memcpy(row, x, static_cast<size_t>(width) * sizeof(float));
      if (width < line.channels) std::memset(row + width, 0, static_cast<size_t>(line.channels - width) * sizeof(float));
    }
    line.end = to;
  }

  void advance(size_t n) {
    const Link& link = links_[n];
    Line &in = lines_[n], &out = lines_[n + 1];
    const int64_t span = link.layer.span();
    int64_t last = std::min(link.layer.superblocks(in.end), out.need_end / span);
    if (link.residual >= 0) last = std::min(last, floor_div(lines_[static_cast<size_t>(link.residual)].end, span));
    const int64_t first = next_[n];
    if (last <= first) return;
    out.reserve((last - first) * span, keep(n + 1));
    // Superblocks that lie outside the signal are zeros whatever the layer says.
    const int64_t inside = std::clamp(floor_div(signal_.start, span), first, last);
    const int64_t beyond = std::clamp(ceil_div(signal_.start + signal_.time, span), inside, last);
    Run work;
    work.x = in.data.get() - in.base * in.channels;
    work.x_stride = in.channels;
    work.y = out.data.get() - out.base * out.channels;
    work.y_stride = out.channels;
    if (link.residual >= 0) {
      Line& more = lines_[static_cast<size_t>(link.residual)];
      work.residual = more.data.get() - more.base * more.channels;
      work.residual_stride = more.channels;
    }
    work.slope = signal_.slope;
    work.first = inside;
    work.last = beyond;
    conv1d::run(link.layer, work, scratch_.get());
    const int64_t end = span * last;
    out.zero(span * first, std::clamp(signal_.start, span * first, end));
    out.zero(std::clamp(signal_.start + signal_.time, span * first, end), end);
    out.end = end;
    next_[n] = last;
  }

  void drain(Sink& sink) {
    Line& line = lines_.back();
    const int64_t from = std::max(begin_, drained_), to = std::min(end_, line.end);
    if (from < to) sink.take(from, to - from, line.row(from), line.channels);
    drained_ = std::max(drained_, to);
  }

  const std::vector<Link>& links_;
  const Signal signal_;
  const int64_t begin_, end_;
  std::vector<Line> lines_;
  std::vector<int64_t> next_;  // superblock that each layer computes next
  std::unique_ptr<uint8_t, Free> scratch_;
  int64_t step_ = 0;
  int64_t drained_ = INT64_MIN;
};

}  // namespace

void run_chain(const std::vector<Link>& links, const Signal& signal, int64_t begin, int64_t end, Sink& sink) {
  if (begin < end) Pass(links, signal, begin, end).run(sink);
}

const char* parse_layer(const int64_t* fields, const uint8_t* blob, int64_t bytes, Layer* layer) {
  constexpr int64_t kMost = int64_t{1} << 20;  // keeps every product below within 64 bits
  if (fields[0] < 0 || fields[0] > 2) return "has an unknown type";
  layer->type = static_cast<Type>(fields[0]);
  layer->in = fields[1];
  layer->out = fields[2];
  layer->taps = fields[3];
  layer->dilation = fields[4];
  layer->left = fields[5];
  layer->block = fields[6];
  for (int64_t channels : {layer->in, layer->out}) {
    if (channels < kLanes || channels % kLanes != 0 || channels > kMost) return "has channels that are not padded";
  }
  if (layer->taps < 1 || layer->taps > 4096 || layer->dilation < 1 || layer->dilation > 4096) return "has a wrong shape";
  if (layer->block != 1 && layer->block != kBlock) return "has an unknown block";
  if (layer->left < 0 || layer->left > layer->taps * layer->dilation) return "starts too far to the left";
  const int64_t weights = fields[7], constants = fields[8];
  const int64_t floats = layer->out + (layer->type == Type::int8 ? 2 * layer->points() * (layer->in + layer->out) : 0);
  if (weights < 0 || weights % kAlign != 0 || constants < 0 || constants % kAlign != 0 || weights > bytes ||
      constants > bytes || layer->weight_bytes() > bytes - weights || floats * 4 > bytes - constants) {
    return "reaches beyond its packed weights";
  }
  layer->weights = blob + weights;
  layer->bias = reinterpret_cast<const float*>(blob + constants);
  // Types that are not int8 never read these; pointing them somewhere real keeps their arithmetic defined.
  layer->multiply = layer->offset = layer->scale = layer->bias;
  layer->zero = reinterpret_cast<const int32_t*>(layer->bias);
  if (layer->type != Type::int8) return nullptr;
  layer->multiply = layer->bias + layer->out;
  layer->offset = layer->multiply + layer->points() * layer->in;
  layer->scale = layer->offset + layer->points() * layer->in;
  layer->zero = reinterpret_cast<const int32_t*>(layer->scale + layer->points() * layer->out);
  return nullptr;
}

}  // namespace voiceclone::conv1d
