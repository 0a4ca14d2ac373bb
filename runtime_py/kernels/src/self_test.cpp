#include "self_test.h"

#include <cmath>
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
  set.quantize(values.data(), rows, stored.columns, stored.group, rows, codes.data(), scales.data(), sums.data());
  set.multiply(packed, {codes.data(), scales.data(), sums.data(), packed.groups(), stored.group, rows}, rows, 0, packed.tiles(), nullptr, out.data());
  return out;
}

// What queries find in a span: tops and sums behind one another, then all values.
std::vector<float> attention(const KernelSet& set, Span span) {
  std::vector<float> all(span.queries * (span.width + 2));
  std::vector<Found> found(span.queries);
  for (size_t n = 0; n < span.queries; ++n) found[n].values = all.data() + 2 * span.queries + n * span.width;
  set.attend(span, found.data());
  for (size_t n = 0; n < span.queries; ++n) all[2 * n] = found[n].top, all[2 * n + 1] = found[n].sum;
  return all;
}

bool attention_agrees(const KernelSet& scalar, const KernelSet& set) {
  Numbers numbers;
  for (const size_t width : {32, 64, 96, 128})
    for (const size_t queries : {size_t{1}, size_t{2}, size_t{5}, size_t{16}, size_t{35}}) {
      std::vector<int8_t> codes(queries * width), keys(Span::TOKENS * (width + 4)), values(keys.size());
      std::vector<float> scales(queries);
      std::vector<size_t> seen(queries);
      for (int8_t& code : codes) code = static_cast<int8_t>(numbers.next() % 255 - 127);
      for (size_t n = 0; n < queries; ++n) scales[n] = numbers.value() / 100, seen[n] = numbers.next() % (Span::TOKENS + 1);
      for (std::vector<int8_t>* rows : {&keys, &values})
        for (size_t token = 0; token < Span::TOKENS; ++token) {
          int8_t* row = rows->data() + token * (width + 4);
          for (size_t i = 0; i < width; ++i) row[i] = static_cast<int8_t>(numbers.next() % 255 - 127);
          const float scale = std::fabs(numbers.value());  // as a cache's are
          std::memcpy(row + width, &scale, 4);
        }
      const Span span = {codes.data(), scales.data(), seen.data(), queries, keys.data(), values.data(), width};
      const std::vector<float> expected = attention(scalar, span), found = attention(set, span);
      if (std::memcmp(expected.data(), found.data(), expected.size() * sizeof(float)) != 0) return false;
    }
  return true;
}

}  // namespace

bool agrees(const KernelSet& set) {
  extern const KernelSet SCALAR;
  // A last tile that is not full; every count of rows at once, and with 35 blocks of them that overlap.
  constexpr size_t rows = 19, columns = 384, most_rows = 35;
  if (!attention_agrees(SCALAR, set)) return false;
  Numbers numbers;
  std::vector<float> values(most_rows * columns);
  for (float& value : values) value = numbers.value();
  for (const int bits : {4, 8})
    for (const size_t group : {32, 64, 96, 128})
      for (const bool points : {false, true}) {
        std::vector<uint8_t> codes(rows * columns * bits / 8), zeros(rows * columns / group);
        std::vector<float> scales(rows * columns / group);
        for (uint8_t& code : codes) code = static_cast<uint8_t>(numbers.next());
        for (uint8_t& zero : zeros) zero = static_cast<uint8_t>(numbers.next());
        for (float& scale : scales) scale = numbers.value();
        const StoredMatrix stored = {rows, columns, group, bits, codes.data(), scales.data(), points ? zeros.data() : nullptr};
        for (const size_t count : {size_t{1}, size_t{3}, size_t{9}, most_rows}) {
          const std::vector<float> some(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count * columns));
          const std::vector<float> expected = product(SCALAR, stored, some, count), found = product(set, stored, some, count);
          if (std::memcmp(expected.data(), found.data(), expected.size() * sizeof(float)) != 0) return false;
        }
      }
  return true;
}

}  // namespace thinkport
