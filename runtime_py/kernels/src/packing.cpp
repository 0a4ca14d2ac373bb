#include "packing.h"

#include <cstring>

namespace thinkport {
namespace {

// Nibbles of two numbers of 32 bits, four of each in its lower half, apart: each in the low half of a byte of its own.
uint64_t apart(uint64_t nibbles) {
  nibbles = (nibbles | nibbles << 8) & 0x00ff00ff00ff00ff;
  return (nibbles | nibbles << 4) & 0x0f0f0f0f0f0f0f0f;
}

// Eight codes in the order of columns become columns 0-3 in low nibbles and 4-7 in high ones: both are then found by
// one mask, and their activations lie as they were. Two numbers of eight codes at once.
uint64_t halves(uint64_t codes) {
  constexpr uint64_t lower = 0x0000ffff0000ffff;
  return apart(codes & lower) | apart(codes >> 16 & lower) << 4;
}

int32_t point(const StoredMatrix& from, size_t row, size_t g) {
  const size_t groups = from.columns / from.group;
  if (from.bits == 8) return from.points[row * groups + g];
  const uint8_t two = from.points[row * ((groups + 1) / 2) + g / 2];
  return g % 2 ? two >> 4 : two & 15;
}

uint64_t eight_bytes(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, 8);
  return value;
}

// Codes of one group of a tile, whose rows begin `stride` bytes apart: four bytes of each row in turn, two rows at once.
// Rows from `count` on are zeros, as they were.
template <size_t LANES, bool NIBBLES>
void pack_codes(const uint8_t* from, size_t stride, size_t count, size_t bytes, uint8_t* to) {
  constexpr uint64_t first = 0xffffffff;
  for (size_t row = 0; row < count; row += 2, to += 8) {
    const uint8_t *even = from + row * stride, *odd = even + stride;
    const uint64_t there = row + 1 < count ? ~uint64_t{0} : 0;
    uint8_t* out = to;
    for (size_t at = 0; at < bytes; at += 8, out += 8 * LANES) {
      const uint64_t x = eight_bytes(even + at), y = eight_bytes((there ? odd : even) + at) & there;
      uint64_t pairs[2] = {(x & first) | y << 32, x >> 32 | (y & ~first)};
      if constexpr (NIBBLES) pairs[0] = halves(pairs[0]), pairs[1] = halves(pairs[1]);
      std::memcpy(out, pairs, 8);
      std::memcpy(out + 4 * LANES, pairs + 1, 8);
    }
  }
}

}  // namespace

void pack(const StoredMatrix& from, const PackedMatrix& to, size_t first, size_t last) {
  const size_t groups = to.groups(), bytes = from.group * from.bits / 8, lanes = to.tile_rows;
  const bool nibbles = from.bits == 4;
  const auto codes = lanes == 8 ? (nibbles ? pack_codes<8, true> : pack_codes<8, false>) : (nibbles ? pack_codes<16, true> : pack_codes<16, false>);
  for (size_t tile = first; tile < last; ++tile) {
    const size_t start = tile * lanes, count = from.rows - start < lanes ? from.rows - start : lanes;
    uint8_t* group = to.data + tile * to.tile_bytes();
    for (size_t g = 0; g < groups; ++g, group += to.group_bytes()) {
      uint8_t* scales = group + to.code_bytes();
      codes(from.codes + (start * groups + g) * bytes, groups * bytes, count, bytes, group);
      for (size_t r = 0; r < count; ++r) {
        const size_t of = (start + r) * groups + g;
        std::memcpy(scales + 4 * r, from.scales + of, 4);
        if (from.points) {
          const int32_t value = point(from, start + r, g);
          std::memcpy(scales + 4 * (lanes + r), &value, 4);
        }
      }
    }
  }
}

}  // namespace thinkport
