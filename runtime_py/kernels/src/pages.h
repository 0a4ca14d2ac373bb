// Memory for packed weights, in huge pages where the system gives them, and the dropping of a file's pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace thinkport {

// Memory that grows by large blocks and is freed as a whole. Threads may take of it at once.
class Pages {
 public:
  Pages() = default;
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages();

  // `bytes` of zeros at a multiple of 64; null where the system has no memory left.
  uint8_t* take(size_t bytes);

 private:
  struct Block { uint8_t* start; size_t bytes; };

  std::mutex mutex_;
  std::vector<Block> blocks_;
  size_t used_ = 0;  // of the last block
};

// Tell the system that a mapped file's pages are not needed for now: they stay in its cache and leave this process.
// Memory that is no file's is left alone.
void drop_file_pages(const void* start, size_t bytes);

}  // namespace thinkport
