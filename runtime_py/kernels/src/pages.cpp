#include "pages.h"

#include <cstdio>

#ifdef _WIN32
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace thinkport {
namespace {

constexpr size_t HUGE_PAGE = size_t{2} << 20;  // of x86-64, and of ARM with pages of 4 KiB
constexpr size_t BLOCK_BYTES = size_t{64} << 20;
constexpr size_t ALIGNMENT = 64;  // a cache line, and the widest vector

size_t rounded_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

#ifdef _WIN32

uint8_t* map(size_t bytes) { return static_cast<uint8_t*>(VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE)); }
void unmap(uint8_t* start, size_t) { VirtualFree(start, 0, MEM_RELEASE); }

#else

// A mapping that begins at a huge page: one too large, whose ends are given back.
uint8_t* map(size_t bytes) {
  const size_t whole = bytes + HUGE_PAGE;
  void* found = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (found == MAP_FAILED) return nullptr;
  auto* start = static_cast<uint8_t*>(found);
  const size_t before = (HUGE_PAGE - reinterpret_cast<uintptr_t>(start) % HUGE_PAGE) % HUGE_PAGE;
  if (before) munmap(start, before);
  if (before < HUGE_PAGE) munmap(start + before + bytes, HUGE_PAGE - before);
#ifdef MADV_HUGEPAGE
  madvise(start + before, bytes, MADV_HUGEPAGE);  // advice: where huge pages are off, ordinary ones serve
#endif
  return start + before;
}
void unmap(uint8_t* start, size_t bytes) { munmap(start, bytes); }

#endif

#ifdef __linux__

// Whether [start, end) lies within one mapping of a file.
bool is_file(uintptr_t start, uintptr_t end) {
  FILE* maps = std::fopen("/proc/self/maps", "r");
  if (!maps) return false;
  char line[512];
  bool found = false;
  unsigned long from, to, inode;
  while (!found && std::fgets(line, sizeof line, maps))
    found = std::sscanf(line, "%lx-%lx %*s %*s %*s %lu", &from, &to, &inode) == 3 && from <= start && end <= to && inode != 0;
  std::fclose(maps);
  return found;
}

#endif

}  // namespace

Pages::~Pages() {
  for (const Block& block : blocks_) unmap(block.start, block.bytes);
}

uint8_t* Pages::take(size_t bytes) {
  const std::lock_guard<std::mutex> alone(mutex_);
  bytes = rounded_up(bytes, ALIGNMENT);
  if (blocks_.empty() || used_ + bytes > blocks_.back().bytes) {
    const size_t size = rounded_up(bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES, HUGE_PAGE);
    uint8_t* start = map(size);
    if (!start) return nullptr;
    blocks_.push_back({start, size});
    used_ = 0;
  }
  uint8_t* taken = blocks_.back().start + used_;
  used_ += bytes;
  return taken;
}

void drop_file_pages(const void* start, size_t bytes) {
#if defined(__linux__)
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t from = rounded_up(reinterpret_cast<uintptr_t>(start), page);
  const uintptr_t to = (reinterpret_cast<uintptr_t>(start) + bytes) / page * page;
  // Of memory without a file this advice would make zeros.
  if (from < to && is_file(from, to)) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
#elif defined(_WIN32)
  VirtualUnlock(const_cast<void*>(start), bytes);  // of pages that are not locked: takes them out of the working set
#else
  (void)start, (void)bytes;  // macOS drops clean pages of a file itself when memory is short
#endif
}

}  // namespace thinkport
