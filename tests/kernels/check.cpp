// The kernels without ONNX Runtime, for sanitizers: every set is held against the scalar one, alone and with
// threads that share a product. Takes the names of sets to run although the CPU lacks them (emulated ones).
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
  std::vector<float> out(rows * w.rows), bias(w.rows);
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i % 7);
  std::vector<std::thread> pool;
  for (size_t t = 0; t < threads; ++t)
    pool.emplace_back([&, t] { set.multiply(w, a, rows, w.tiles() * t / threads, w.tiles() * (t + 1) / threads, bias.data(), out.data()); });
  for (std::thread& one : pool) one.join();
  return out;
}

struct Case {
  size_t rows, columns, group;
  int bits;
  bool points;
  size_t count;  // rows of activations
};

// Tiles that are not full, groups of every kind, few and many rows, and so wide ones that only some share a cache.
constexpr Case CASES[] = {
    {203, 576, 64, 4, false, 13}, {35, 576, 64, 4, true, 300}, {19, 1024, 256, 8, true, 150},   {40, 288, 96, 4, true, 33},
    {16, 512, 512, 8, false, 20}, {5, 12288, 128, 8, true, 70}, {33, 96, 32, 8, false, 130},
};

std::vector<uint8_t> some_bytes(size_t count) {
  std::vector<uint8_t> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  return bytes;
}

std::vector<float> product_of(const KernelSet& set, const Case& of, size_t threads) {
  const size_t groups = of.columns / of.group;
  const std::vector<uint8_t> codes = some_bytes(of.rows * of.columns * of.bits / 8), points = some_bytes(of.rows * groups);
  std::vector<float> scales(of.rows * groups), values(of.count * of.columns);
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<float>(i * 48271u % 997) / 9970 - 0.05f;
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 40503u % 1000) / 500 - 1;
  Pages pages;
  PackedMatrix w = {of.rows, of.columns, of.group, of.bits, of.points, set.tile_rows, nullptr};
  w.data = pages.take(w.bytes());
  pack({of.rows, of.columns, of.group, of.bits, codes.data(), scales.data(), of.points ? points.data() : nullptr}, w, 0, w.tiles());
  std::vector<int8_t> quantized(values.size());
  std::vector<float> steps(of.count * groups);
  std::vector<int32_t> sums(steps.size());
  set.quantize(values.data(), of.count, of.columns, of.group, of.count, quantized.data(), steps.data(), sums.data());
  return shared_product(set, w, {quantized.data(), steps.data(), sums.data(), groups, of.group, of.count}, of.count, threads);
}

bool products_agree(const KernelSet& scalar, const KernelSet& set) {
  for (const Case& of : CASES) {
    const std::vector<float> expected = product_of(scalar, of, 1);
    for (const size_t threads : {size_t{1}, size_t{4}})
      if (product_of(set, of, threads) != expected) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  size_t count;
  const KernelSet* const* sets = kernel_sets(&count);
  bool right = true;
  for (size_t i = 0; i < count; ++i) {
    bool asked = sets[i]->runs_here() && (!sets[i]->allowed || sets[i]->allowed());
    for (int n = 1; n < argc; ++n) asked = asked || std::strcmp(argv[n], sets[i]->name) == 0;
    if (!asked) continue;
    const bool good = agrees(*sets[i]) && products_agree(*sets[count - 1], *sets[i]);
    std::printf("%s %s\n", sets[i]->name, good ? "right" : "WRONG");
    right = right && good;
  }
  return right ? 0 : 1;
}
