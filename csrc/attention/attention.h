// Attention over a KV cache on raw pointers: appends the new keys and values of a ragged batch, then attends.
//
// A layer's cache is two dense tensors [pages, heads, page_size, dim], one of keys and one of values: the positions of
// one head lie one after another. A slot cache is the case of one page a row, as long as the slot. int8 caches have a
// float32 scale for each (page, head, position) beside them; the other types have none.
//
// A row's page table lists the pages of its positions. Its first `shared` positions stand in the first
// ceil(shared / page_size) pages, which other rows may list too; the rest of the row begins on a page of its own, so
// that a shared prefix of any length is stored once:
//   position p < shared:  entry p / page_size,                                        offset p % page_size
//   position p >= shared: entry ceil(shared / page_size) + (p - shared) / page_size,  offset (p - shared) % page_size
//
// A query at position p sees positions 0 .. max(p + 1, prefix) - 1: causal, but the first `prefix` positions (the text
// of a prefix language model) see one another. A query that sees nothing, or only keys masked by -inf, yields zeros.
//
// All sums are float32. What a query yields depends on its own keys and values in the order of their positions: not on
// its batch, the threads, the pages or how many queries came with it.
#pragma once

#include <cstdint>

namespace voiceclone::attention {

enum class Number : int32_t { float32, bfloat16, float16, int8, float8 };  // float8 is e4m3fn

constexpr int64_t kMaxDim = 128;
constexpr int64_t kDimStep = 8;  // dim must be a multiple of it

constexpr int64_t bytes_of(Number number) {
  return number == Number::float32 ? 4 : number == Number::bfloat16 || number == Number::float16 ? 2 : 1;
}

// One layer of a KV cache.
struct Cache {
  void* keys;  // [pages, heads, page_size, dim]
  void* values;
  float* key_scales;  // [pages, heads, page_size]; int8 only
  float* value_scales;
  Number number;
  int64_t pages, heads, page_size, dim;
};

// The whereabouts of one row's positions.
struct Row {
  const int32_t* pages;  // its line of the page table
  int64_t shared;        // positions that stand in shared pages
};

// Where a position stands: `index` counts positions of the cache, so that a key begins at index * dim.
struct Place {
  int64_t index;
  int64_t run;  // positions from here on that follow one another in memory
};

inline Place place(const Cache& cache, const Row& row, int64_t head, int64_t position) {
  const int64_t size = cache.page_size;
  const bool own = position >= row.shared;
  const int64_t within = own ? position - row.shared : position;
  const int64_t entry = (own ? (row.shared + size - 1) / size : 0) + within / size;
  const int64_t offset = within % size;
  const int64_t run = size - offset;
  return {(row.pages[entry] * cache.heads + head) * size + offset,
          own || run < row.shared - position ? run : row.shared - position};
}

// -- one head of one row, on the CPU; `head` counts the heads of the cache ---------------------------------------------

// Stores one key and value [dim] at `position`, rounded to the cache's type (int8: with the scale max|x| / 127).
void append(const Cache& cache, const Row& row, int64_t head, int64_t position, const float* key, const float* value);

// out [dim] = softmax(scale * query . key + mask) . value over positions [0, visible); `mask` [visible] may be null.
// A caller that walks over heads names the head it asks for next (or -1), whose first keys are then fetched ahead.
void attend(const Cache& cache, const Row& row, int64_t head, int64_t visible, const float* query, float scale,
            const float* mask, float* out, int64_t next_head = -1);

// -- a whole batch -----------------------------------------------------------------------------------------------------

// New tokens of each row: [batch, tokens, heads, dim] with these strides, in elements; dim is dense.
struct Tokens {
  void* data;
  int64_t row_stride, token_stride, head_stride;
};

struct Problem {
  Cache cache;
  Tokens query, key, value, out;  // all of type `number`: float32, bfloat16 or float16
  Number number;
  int64_t batch, tokens, query_heads;  // query_heads is a multiple of cache.heads
  const int32_t* pages;                // [batch, page_entries]
  int64_t page_entries;
  const int32_t* lengths;  // [batch]: positions in the cache before this call
  const int32_t* counts;   // [batch]: how many of `tokens` are real, or null for all; outputs past it are zero
  const int32_t* shared;   // [batch] or null for none
  const int32_t* prefix;   // [batch] or null for none
  const float* mask;       // [batch, mask_stride] added to scores by key position, or null
  int64_t mask_stride;     // at least lengths + counts of every row
  float scale;
};

// (row, cache head) pairs [begin, end) of batch * cache.heads.
void attend_batch_cpu(const Problem& problem, int64_t begin, int64_t end);

// Enqueues on `stream`; returns an error's text, or nullptr. Tokens that do not fit their row's pages are left alone.
const char* attend_batch_cuda(const Problem& problem, void* stream);

}  // namespace voiceclone::attention
