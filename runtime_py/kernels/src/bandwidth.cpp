// How fast threads read memory together: what limits decoding, since a step reads every weight once.
//
// Memory is read in huge pages where the system gives them, each thread its own part, in every way that was the
// fastest on some CPU: in one stream or four at once, asked for ahead of time or left to the CPU's own guesses.
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "ort_api.h"
#include "pages.h"

namespace thinkport {
namespace {

constexpr size_t LINE = 64;  // bytes of a cache line, of most CPUs
constexpr size_t STREAMS = 4;
constexpr size_t AHEAD = 2048;  // bytes, as products ask for their weights

// A vector of 16 bytes, which every CPU of these has.
typedef uint64_t Words __attribute__((vector_size(16)));

// Reads every byte; what it returns keeps the compiler from leaving that out. Memory is at a multiple of 64.
template <size_t MANY, size_t EARLY>
uint64_t read_all(const uint8_t* start, size_t bytes) {
  const size_t part = bytes / MANY;
  Words a = {}, b = {}, c = {}, d = {};
  for (size_t at = 0; at < part; at += LINE)
    for (size_t stream = 0; stream < MANY; ++stream) {
      const uint8_t* line = start + stream * part + at;
      if (EARLY) __builtin_prefetch(line + EARLY);
      const Words* words = reinterpret_cast<const Words*>(line);
      a ^= words[0], b ^= words[1], c ^= words[2], d ^= words[3];
    }
  const Words all = a ^ b ^ c ^ d;
  return all[0] ^ all[1];
}

constexpr uint64_t (*WAYS[])(const uint8_t*, size_t) = {
    read_all<1, 0>, read_all<1, AHEAD>, read_all<STREAMS, 0>, read_all<STREAMS, AHEAD>,
};

// Runs work(n) on so many threads.
template <class Work>
void on_threads(size_t threads, Work work) {
  std::vector<std::thread> pool;
  for (size_t n = 1; n < threads; ++n) pool.emplace_back(work, n);
  work(0);
  for (std::thread& one : pool) one.join();
}

}  // namespace
}  // namespace thinkport

// Bytes a second that `threads` read together of `bytes`, in the best way and round; 0 where there is no such memory.
EXPORTED double thinkport_read_bandwidth(size_t threads, size_t bytes, size_t rounds) {
  using namespace thinkport;
  using Clock = std::chrono::steady_clock;
  Pages pages;
  const size_t part = threads ? bytes / threads / (STREAMS * LINE) * (STREAMS * LINE) : 0;
  uint8_t* start = part ? pages.take(part * threads + AHEAD) : nullptr;
  if (!start) return 0;
  // Written first: pages that nobody wrote to are all one page of zeros.
  on_threads(threads, [&](size_t n) { std::memset(start + n * part, static_cast<int>(n) + 1, part); });
  std::vector<uint64_t> found(threads);
  double best = 0;
  for (size_t round = 0; round < rounds; ++round)
    for (const auto way : WAYS) {
      const Clock::time_point begun = Clock::now();
      on_threads(threads, [&](size_t n) { found[n] ^= way(start + n * part, part); });
      const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
      const double speed = static_cast<double>(part * threads) / seconds;
      if (speed > best) best = speed;
    }
  volatile uint64_t kept = 0;
  for (const uint64_t one : found) kept = kept ^ one;
  return best;
}
