// How a decoder's weights lie in one linear stream: the same bytes for every CPU level and for CUDA.
//
// A matrix [outputs, inputs] is cut into tiles of 32 outputs. A tile is a run of 128-byte lines, line i holding one 4-byte
// word of each output: 1 float32, 2 bfloat16 or 4 int8 weights that follow each other along the inputs. int8 weights are
// stored plus 128, as the unsigned side of a dot product, with one float32 scale an output. Both sides are padded with
// zero weights: outputs to 32, inputs to 128. Everything in the stream begins on a 128-byte border.
#pragma once

#include <cstdint>

namespace voiceclone::step {

enum class Format : int64_t { float32, bfloat16, int8 };
enum class Activation : int64_t { relu, gelu, gelu_tanh };

constexpr int64_t kTile = 32;        // outputs of a tile
constexpr int64_t kLine = 128;       // bytes of a line, and the alignment of all parts
constexpr int64_t kGroup = 128;      // inputs that share one scale where activations are int8
constexpr int32_t kMagic = 0x31534356;  // "VCS1"
constexpr int64_t kShapeInts = 11;

inline int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// As the op takes it, in this order.
struct Shape {
  int64_t layers, width, heads, hidden;
  int64_t vocabulary;  // outputs of the head
  int64_t inputs;      // rows of the embedding
  int64_t positions;   // rows of the positional table
  Format format;
  Activation activation;
  int64_t pre_norm;     // 1: x + f(norm(x)); 0: norm(x + f(x))
  int64_t final_norms;  // after the last layer: 0, 1 or 2

  int64_t head_dim() const { return width / heads; }
};

// One matrix of the stream, as byte offsets.
struct MatrixAt {
  int64_t bias, scale, words;
  int64_t outputs, inputs;  // as the model has them
  int64_t tiles() const { return round_up(outputs, kTile) / kTile; }
  int64_t padded_inputs() const { return round_up(inputs, kGroup); }
};

struct NormAt {
  int64_t weight, bias;
};

struct LayerAt {
  NormAt norm1;
  MatrixAt qkv, out;
  NormAt norm2;
  MatrixAt ffn_in, ffn_out;
};

inline int64_t bytes_per_weight(Format format) {
  return format == Format::float32 ? 4 : format == Format::bfloat16 ? 2 : 1;
}

// Offsets of everything; layers lie at equal distances.
struct Layout {
  explicit Layout(const Shape& shape) : format(shape.format) {
    int64_t at = kLine;  // the header
    embedding = take(at, shape.inputs * shape.width * 4);
    positions = take(at, shape.positions * shape.width * 4);
    first_layer = at;
    layer.norm1 = norm(at, shape.width);
    layer.qkv = matrix(at, 3 * shape.width, shape.width);
    layer.out = matrix(at, shape.width, shape.width);
    layer.norm2 = norm(at, shape.width);
    layer.ffn_in = matrix(at, shape.hidden, shape.width);
    layer.ffn_out = matrix(at, shape.width, shape.hidden);
    layer_bytes = at - first_layer;
    at = first_layer + shape.layers * layer_bytes;
    for (int64_t i = 0; i < shape.final_norms; ++i) final_norm[i] = norm(at, shape.width);
    head = matrix(at, shape.vocabulary, shape.width);
    bytes = at;
  }

  Format format;
  int64_t embedding, positions, first_layer, layer_bytes;
  LayerAt layer{};  // of layer 0; layer i is i * layer_bytes further
  NormAt final_norm[2] = {};
  MatrixAt head{};
  int64_t bytes;

 private:
  static int64_t take(int64_t& at, int64_t size) {
    const int64_t begin = at;
    at += round_up(size, kLine);
    return begin;
  }
  static NormAt norm(int64_t& at, int64_t width) {
    const int64_t weight = take(at, width * 4);
    return {weight, take(at, width * 4)};
  }
  MatrixAt matrix(int64_t& at, int64_t outputs, int64_t inputs) const {
    MatrixAt result{};
    result.outputs = outputs;
    result.inputs = inputs;
    result.bias = take(at, round_up(outputs, kTile) * 4);
    result.scale = take(at, format == Format::int8 ? round_up(outputs, kTile) * 4 : 0);
    result.words = take(at, round_up(outputs, kTile) * result.padded_inputs() * bytes_per_weight(format));
    return result;
  }
};

}  // namespace voiceclone::step
