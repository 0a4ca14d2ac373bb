// AMX's tiles in plain C++, as Intel's manual describes the instructions (volume 2: LDTILECFG, TILELOADD, TDPBSSD,
// TDPBUSD, TILESTORED, TILERELEASE). What would be a fault on a CPU ends the program here, and so does a thread that ends
// without having released its tiles.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tiles {

inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "tiles: %s\n", what);
  std::abort();
}

struct Register {
  int rows = 0, row_bytes = 0;
  uint8_t at[16][64] = {};
  int32_t whole(int row, int n) const {
    int32_t value;
    std::memcpy(&value, at[row] + 4 * n, 4);
    return value;
  }
};

struct State {
  bool configured = false;
  Register registers[8] = {};
  ~State() { expect(!configured, "a thread ends without having released them"); }
  Register& of(int n) {
    expect(configured && n >= 0 && n < 8, "used without a configuration");
    expect(registers[n].rows > 0, "this one is not configured");
    return registers[n];
  }
};

inline thread_local State state;

inline void load_config(const void* from) {
  uint8_t bytes[64];
  std::memcpy(bytes, from, sizeof bytes);
  expect(bytes[0] == 1, "the palette is 1");
  for (int i = 1; i < 16; ++i) expect(bytes[i] == 0, "the start row and what is reserved are 0");
  state.configured = true;
  for (int n = 0; n < 16; ++n) {
    uint16_t row_bytes;
    std::memcpy(&row_bytes, bytes + 16 + 2 * n, 2);
    const int rows = bytes[48 + n];
    expect(row_bytes <= 64 && rows <= 16 && (row_bytes == 0) == (rows == 0), "a tile is at most 16 rows of 64 bytes");
    expect(n < 8 || rows == 0, "there are 8");
    if (n >= 8) continue;
    state.registers[n] = Register();
    state.registers[n].rows = rows, state.registers[n].row_bytes = row_bytes;
  }
}

inline void release() { state.configured = false; }

inline void zero(int n) { std::memset(state.of(n).at, 0, sizeof state.of(n).at); }

inline void load(int n, const void* base, size_t stride) {
  zero(n);
  Register& to = state.of(n);
  for (int row = 0; row < to.rows; ++row) std::memcpy(to.at[row], static_cast<const uint8_t*>(base) + row * stride, to.row_bytes);
}

inline void store(int n, void* base, size_t stride) {
  const Register& from = state.of(n);
  for (int row = 0; row < from.rows; ++row) std::memcpy(static_cast<uint8_t*>(base) + row * stride, from.at[row], from.row_bytes);
}

// Bytes, of type Left, times signed bytes, four by four, added to 32 bits.
template <class Left>
void multiply(int sum, int left, int right) {
  Register& to = state.of(sum);
  const Register &a = state.of(left), &b = state.of(right);
  expect(sum != left && sum != right && left != right, "a product takes three");
  expect(to.rows == a.rows && to.row_bytes == b.row_bytes && a.row_bytes == 4 * b.rows, "a product's shapes fit");
  expect(to.row_bytes % 4 == 0, "rows are of whole numbers");
  for (int m = 0; m < to.rows; ++m)
    for (int n = 0; n < to.row_bytes / 4; ++n) {
      uint32_t total = static_cast<uint32_t>(to.whole(m, n));
      for (int i = 0; i < a.row_bytes; ++i) {
        const int x = static_cast<Left>(a.at[m][i]), y = static_cast<int8_t>(b.at[i / 4][4 * n + i % 4]);
        total += static_cast<uint32_t>(x * y);
      }
      std::memcpy(to.at[m] + 4 * n, &total, 4);
    }
}

}  // namespace tiles

#define _tile_loadconfig tiles::load_config
#define _tile_release tiles::release
#define _tile_zero tiles::zero
#define _tile_loadd tiles::load
#define _tile_stored tiles::store
#define _tile_dpbssd tiles::multiply<int8_t>
#define _tile_dpbusd tiles::multiply<uint8_t>
