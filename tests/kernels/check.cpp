// The kernels without ONNX Runtime, for sanitizers: every set is held against the scalar one, and threads that share a
// product against one thread alone. Takes the names of sets to run although the CPU lacks them (emulated ones).
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "packing.h"
#include "pages.h"
#include "self_test.h"

using namespace thinkport;

namespace {

std::vector<float> shared_product(const KernelSet& set, const PackedMatrix& w, const Activations& a, size_t rows, size_t threads) {
  std::vector<float> out(rows * w.rows);
  std::vector<std::thread> pool;
  for (size_t t = 0; t < threads; ++t)
    pool.emplace_back([&, t] { set.multiply(w, a, rows, w.tiles() * t / threads, w.tiles() * (t + 1) / threads, nullptr, out.data()); });
  for (std::thread& one : pool) one.join();
  return out;
}

bool threads_agree(const KernelSet& set) {
  constexpr size_t rows = 203, columns = 576, group = 64, count = 13;
  Pages pages;
  std::vector<uint8_t> codes(rows * columns / 2);
  std::vector<float> scales(rows * columns / group, 0.01f), values(count * columns);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 40503u % 1000) / 500 - 1;
  PackedMatrix w = {rows, columns, group, 4, false, set.tile_rows, nullptr};
  w.data = pages.take(w.bytes());
  pack({rows, columns, group, 4, codes.data(), scales.data(), nullptr}, w, 0, w.tiles());
  std::vector<int8_t> quantized(values.size());
  std::vector<float> steps(count * w.groups());
  std::vector<int32_t> sums(steps.size());
  set.quantize(values.data(), count, columns, group, quantized.data(), steps.data(), sums.data());
  const Activations a = {quantized.data(), steps.data(), sums.data(), columns, w.groups()};
  return shared_product(set, w, a, count, 1) == shared_product(set, w, a, count, 4);
}

}  // namespace

int main(int argc, char** argv) {
  size_t count;
  const KernelSet* const* sets = kernel_sets(&count);
  bool right = true;
  for (size_t i = 0; i < count; ++i) {
    bool asked = sets[i]->runs_here();
    for (int n = 1; n < argc; ++n) asked = asked || std::strcmp(argv[n], sets[i]->name) == 0;
    if (!asked) continue;
    const bool good = agrees(*sets[i]) && threads_agree(*sets[i]);
    std::printf("%s %s\n", sets[i]->name, good ? "right" : "WRONG");
    right = right && good;
  }
  return right ? 0 : 1;
}
