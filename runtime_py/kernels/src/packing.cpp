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

}  // namespace

void pack(const StoredMatrix& from, const PackedMatrix& to, size_t first, size_t last) {
  const size_t groups = to.groups(), bytes = from.group * from.bits / 8, lanes = to.tile_rows;
  for (size_t tile = first; tile < last; ++tile) {
    const size_t start = tile * lanes, count = from.rows - start < lanes ? from.rows - start : lanes;
    uint8_t* group = to.data + tile * to.tile_bytes();
    for (size_t g = 0; g < groups; ++g, group += to.group_bytes()) {
      uint8_t* scales = group + to.code_bytes();
      for (size_t r = 0; r < count; ++r) {
        const size_t of = (start + r) * groups + g;
        for (size_t chunk = 0; chunk < bytes / 4; ++chunk) {
          uint32_t codes;
          std::memcpy(&codes, from.codes + of * bytes + 4 * chunk, 4);
          if (from.bits == 4) codes = halves(codes);
          std::memcpy(group + 4 * (chunk * lanes + r), &codes, 4);
        }
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
