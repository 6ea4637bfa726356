// The page pool and the page tables: every check comes before the first change.
#include "host/pages.h"

namespace voiceclone::host {
namespace {

void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument(message);
}

}  // namespace

Pages::Pages(int64_t count) {
  require(count >= 0, "a pool must have 0 pages or more, got " + std::to_string(count));
  references_.assign(static_cast<size_t>(count), 0);
  free_.reserve(static_cast<size_t>(count));
  for (int64_t page = count - 1; page >= 0; --page) free_.push_back(page);
}

int64_t Pages::references(int64_t page) const {
  require(page >= 0 && page < count(), "there is no page " + std::to_string(page));
  return references_[static_cast<size_t>(page)];
}

std::vector<int64_t> Pages::take(int64_t count) {
  require(count >= 0, "cannot take " + std::to_string(count) + " pages");
  if (count > free()) {
    throw Exhausted(std::to_string(count) + " pages are needed, " + std::to_string(free()) + " are free");
  }
  std::vector<int64_t> taken(free_.rbegin(), free_.rbegin() + count);
  free_.resize(free_.size() - static_cast<size_t>(count));
  for (int64_t page : taken) references_[static_cast<size_t>(page)] = 1;
  return taken;
}

void Pages::check_used(const std::vector<int64_t>& pages, bool each_once) const {
  for (int64_t page : pages) {
    require(references(page) > 0, "page " + std::to_string(page) + " is not in use");
  }
  if (!each_once) return;
  std::unordered_map<int64_t, int64_t> ended;
  for (int64_t page : pages) {
    require(++ended[page] <= references(page), "page " + std::to_string(page) + " is not in use that often");
  }
}

void Pages::share(const std::vector<int64_t>& pages) {
  check_used(pages, false);
  for (int64_t page : pages) ++references_[static_cast<size_t>(page)];
}

void Pages::release(const std::vector<int64_t>& pages) {
  check_used(pages, true);
  for (int64_t page : pages) {
    if (--references_[static_cast<size_t>(page)] == 0) free_.push_back(page);
  }
}

Sequences::Sequences(int64_t pages, int64_t page_size) : pages_(pages), page_size_(page_size) {
  require(page_size >= 1, "a page must hold 1 position or more, got " + std::to_string(page_size));
}

const Sequences::Table& Sequences::table(int64_t sequence) const {
  const auto found = tables_.find(sequence);
  require(found != tables_.end(), "sequence " + std::to_string(sequence) + " is not open");
  return found->second;
}

int64_t Sequences::open() {
  tables_.emplace(next_, Table{});
  return next_++;
}

int64_t Sequences::fork(int64_t sequence, int64_t length) {
  const Table& parent = table(sequence);
  require(length >= 0 && length <= parent.length, "a fork may begin with 0 to " + std::to_string(parent.length) +
                                                      " positions, got " + std::to_string(length));
  Table child;
  child.pages.assign(parent.pages.begin(), parent.pages.begin() + pages_for(length));
  child.length = length;
  pages_.share(child.pages);
  tables_.emplace(next_, std::move(child));
  return next_++;
}

bool Sequences::must_copy(const Table& table, int64_t count) const {
  return count > 0 && table.length % page_size_ != 0 && pages_.references(table.pages.back()) > 1;
}

int64_t Sequences::needed(int64_t sequence, int64_t count) const {
  const Table& own = table(sequence);
  require(count >= 0, "cannot extend by " + std::to_string(count) + " positions");
  return pages_for(own.length + count) - static_cast<int64_t>(own.pages.size()) + must_copy(own, count);
}

Sequences::Growth Sequences::extend(int64_t sequence, int64_t count) {
  Growth growth;
  growth.pages = pages_.take(needed(sequence, count));
  Table& own = tables_.at(sequence);
  auto fresh = growth.pages.begin();
  if (must_copy(own, count)) {
    growth.copies.emplace_back(own.pages.back(), *fresh);
    pages_.release({own.pages.back()});
    own.pages.back() = *fresh++;
  }
  own.pages.insert(own.pages.end(), fresh, growth.pages.end());
  own.length += count;
  return growth;
}

void Sequences::truncate(int64_t sequence, int64_t length) {
  const int64_t had = table(sequence).length;
  require(length >= 0 && length <= had,
          "length must be 0 to " + std::to_string(had) + ", got " + std::to_string(length));
  Table& own = tables_.at(sequence);
  const auto kept = own.pages.begin() + pages_for(length);
  pages_.release(std::vector<int64_t>(kept, own.pages.end()));
  own.pages.erase(kept, own.pages.end());
  own.length = length;
}

void Sequences::close(int64_t sequence) {
  pages_.release(table(sequence).pages);
  tables_.erase(sequence);
}

}  // namespace voiceclone::host
