#include "self_test.h"

#include <cstring>
#include <vector>

#include "packing.h"

namespace thinkport {
namespace {

// A simple generator of numbers, the same on every machine (Numerical Recipes' constants).
struct Numbers {
  uint32_t state = 1;
  uint32_t next() { return (state = state * 1664525 + 1013904223) >> 8; }
  float value() { return static_cast<float>(next() % 2001) / 1000 - 1; }
};

std::vector<float> product(const KernelSet& set, const StoredMatrix& stored, const std::vector<float>& values, size_t rows) {
  PackedMatrix packed = {stored.rows, stored.columns, stored.group, stored.bits, stored.points != nullptr, set.tile_rows, nullptr};
  std::vector<uint8_t> data(packed.bytes());
  packed.data = data.data();
  pack(stored, packed, 0, packed.tiles());
  const size_t groups = rows * packed.groups();
  std::vector<int8_t> codes(values.size());
  std::vector<float> scales(groups), out(rows * stored.rows);
  std::vector<int32_t> sums(groups);
  set.quantize(values.data(), rows, stored.columns, stored.group, codes.data(), scales.data(), sums.data());
  set.multiply(packed, {codes.data(), scales.data(), sums.data(), stored.columns, packed.groups()}, rows, 0, packed.tiles(), nullptr, out.data());
  return out;
}

}  // namespace

bool agrees(const KernelSet& set) {
  extern const KernelSet SCALAR;
  constexpr size_t rows = 11, columns = 192, most_rows = 9;  // a last tile that is not full, and every count of rows
  Numbers numbers;
  std::vector<float> values(most_rows * columns);
  for (float& value : values) value = numbers.value();
  for (const int bits : {4, 8})
    for (const size_t group : {32, 64})
      for (const bool points : {false, true}) {
        std::vector<uint8_t> codes(rows * columns * bits / 8), zeros(rows * (columns / group));
        std::vector<float> scales(rows * columns / group);
        for (uint8_t& code : codes) code = static_cast<uint8_t>(numbers.next());
        for (uint8_t& zero : zeros) zero = static_cast<uint8_t>(numbers.next());
        for (float& scale : scales) scale = numbers.value();
        const StoredMatrix stored = {rows, columns, group, bits, codes.data(), scales.data(), points ? zeros.data() : nullptr};
        for (const size_t count : {size_t{1}, size_t{3}, most_rows}) {
          const std::vector<float> some(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count * columns));
          const std::vector<float> expected = product(SCALAR, stored, some, count), found = product(set, stored, some, count);
          if (std::memcmp(expected.data(), found.data(), expected.size() * sizeof(float)) != 0) return false;
        }
      }
  return true;
}

}  // namespace thinkport
