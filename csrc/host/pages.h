// Who uses which page of a KV cache: reference counts, page tables that share prefixes, when a page must be copied first.
//
// No memory is owned here but the bookkeeping; a page is a number. Every operation is constant time a page it touches,
// and one that throws changes nothing. voiceclone/host/pages.py is the same in Python: results must be equal.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace voiceclone::host {

class Exhausted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A pool of pages (or slots) with a reference count each. The page given back last is taken first: it is in the caches.
class Pages {
 public:
  explicit Pages(int64_t count);

  int64_t count() const { return static_cast<int64_t>(references_.size()); }
  int64_t free() const { return static_cast<int64_t>(free_.size()); }
  int64_t references(int64_t page) const;

  // `count` pages with one reference each, or Exhausted and none.
  std::vector<int64_t> take(int64_t count);
  void share(const std::vector<int64_t>& pages);
  // Ends one reference to each; a page whose last one ends is free.
  void release(const std::vector<int64_t>& pages);

 private:
  void check_used(const std::vector<int64_t>& pages, bool each_once) const;

  std::vector<int64_t> references_;
  std::vector<int64_t> free_;  // a stack
};

// The page table of each open sequence. Position p of a sequence stands in entry p / page_size at p % page_size.
class Sequences {
 public:
  // `copies`: pairs (from, to) of pages whose content must be copied before the new positions are written.
  struct Growth {
    std::vector<int64_t> pages;
    std::vector<std::pair<int64_t, int64_t>> copies;
  };

  Sequences(int64_t pages, int64_t page_size);

  int64_t page_size() const { return page_size_; }
  int64_t free() const { return pages_.free(); }
  int64_t open_count() const { return static_cast<int64_t>(tables_.size()); }
  int64_t references(int64_t page) const { return pages_.references(page); }
  int64_t length(int64_t sequence) const { return table(sequence).length; }
  const std::vector<int64_t>& pages(int64_t sequence) const { return table(sequence).pages; }

  int64_t open();
  // A sequence that begins with the first `length` positions of another, on the same pages.
  int64_t fork(int64_t sequence, int64_t length);
  // Pages that extend() would take.
  int64_t needed(int64_t sequence, int64_t count) const;
  Growth extend(int64_t sequence, int64_t count);
  // Forgets the positions from `length` on.
  void truncate(int64_t sequence, int64_t length);
  void close(int64_t sequence);

 private:
  struct Table {
    std::vector<int64_t> pages;
    int64_t length = 0;
  };

  const Table& table(int64_t sequence) const;
  int64_t pages_for(int64_t positions) const { return (positions + page_size_ - 1) / page_size_; }
  bool must_copy(const Table& table, int64_t count) const;

  Pages pages_;
  int64_t page_size_;
  int64_t next_ = 0;
  std::unordered_map<int64_t, Table> tables_;
};

}  // namespace voiceclone::host
