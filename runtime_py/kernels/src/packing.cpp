#include "packing.h"

#include <cstring>

namespace thinkport {
namespace {

// Four nibbles, each in the low half of a byte of its own.
uint32_t apart(uint32_t nibbles) {
  nibbles = (nibbles | nibbles << 8) & 0x00ff00ff;
  return (nibbles | nibbles << 4) & 0x0f0f0f0f;
}

// Eight codes in the order of columns become columns 0-3 in low nibbles and 4-7 in high ones: both are then found by
// one mask, and their activations lie as they were.
uint32_t halves(uint32_t codes) { return apart(codes & 0xffff) | apart(codes >> 16) << 4; }

int32_t point(const StoredMatrix& from, size_t row, size_t g) {
  const size_t groups = from.columns / from.group;
  if (from.bits == 8) return from.points[row * groups + g];
  const uint8_t two = from.points[row * ((groups + 1) / 2) + g / 2];
  return g % 2 ? two >> 4 : two & 15;
}

// Codes of one group of a tile, whose rows begin `stride` bytes apart: four bytes of each row in turn.
template <size_t LANES>
void pack_codes(const uint8_t* from, size_t stride, size_t count, size_t bytes, bool nibbles, uint8_t* to) {
  for (size_t at = 0; at < bytes; at += 4, to += 4 * LANES) {
    uint32_t codes[LANES] = {};
    for (size_t r = 0; r < count; ++r) std::memcpy(codes + r, from + r * stride + at, 4);
    if (nibbles)
      for (uint32_t& code : codes) code = halves(code);
    std::memcpy(to, codes, sizeof codes);
  }
}

}  // namespace

void pack(const StoredMatrix& from, const PackedMatrix& to, size_t first, size_t last) {
  const size_t groups = to.groups(), bytes = from.group * from.bits / 8, lanes = to.tile_rows;
  for (size_t tile = first; tile < last; ++tile) {
    const size_t start = tile * lanes, count = from.rows - start < lanes ? from.rows - start : lanes;
    uint8_t* group = to.data + tile * to.tile_bytes();
    for (size_t g = 0; g < groups; ++g, group += to.group_bytes()) {
      uint8_t* scales = group + to.code_bytes();
      const auto codes = lanes == 4 ? pack_codes<4> : lanes == 8 ? pack_codes<8> : pack_codes<16>;
      codes(from.codes + (start * groups + g) * bytes, groups * bytes, count, bytes, from.bits == 4, group);
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
