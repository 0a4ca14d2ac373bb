// The kernels in plain C++: what every CPU runs, and what the other sets are held against.
#include <cmath>

#include "attention_kernel.h"
#include "matrix_kernel.h"

namespace thinkport {
namespace {

struct Scalar {
  static constexpr int rows = 8, ROWS = 4, CENTER8 = 128;
  static constexpr bool SPLIT8 = false;
  struct Bytes { uint8_t at[rows * 4]; };
  struct Ints { int32_t at[rows]; };
  struct Floats { float at[rows]; };
  using Narrow = Ints;

  template <class To, class Do>
  static To each(Do value) {
    To found;
    for (int r = 0; r < rows; ++r) found.at[r] = value(r);
    return found;
  }
  template <class To>
  static To read(const uint8_t* at) {
    To found;
    std::memcpy(&found, at, sizeof found);
    return found;
  }
  static int32_t byte(Ints x, int r, int k) { return static_cast<uint32_t>(x.at[r]) >> (8 * k) & 255; }

  static Ints load(const uint8_t* at) { return read<Ints>(at); }
  static Floats load_floats(const uint8_t* at) { return read<Floats>(at); }
  static void store(float* at, Floats x) { std::memcpy(at, x.at, sizeof x.at); }
  static Ints low(Ints x) { return each<Ints>([&](int r) { return x.at[r] & 0x0f0f0f0f; }); }
  static Ints high(Ints x) { return each<Ints>([&](int r) { return static_cast<uint32_t>(x.at[r]) >> 4 & 0x0f0f0f0f; }); }
  static Ints centered(Ints x) { return each<Ints>([&](int r) { return x.at[r] ^ static_cast<int32_t>(0x80808080); }); }
  static Ints spread(int32_t value) { return each<Ints>([&](int) { return value; }); }
  static Floats spread_float(float value) { return each<Floats>([&](int) { return value; }); }
  static Floats zeros() { return spread_float(0); }
  static Narrow begin(Ints dots) { return dots; }
  static void keep(Ints&) {}
  static Ints end(Ints, Narrow dots) { return dots; }
  template <class Code>
  static Ints dot(Ints sum, Ints x, Ints y) {
    return each<Ints>([&](int r) {
      int32_t total = sum.at[r];
      for (int k = 0; k < 4; ++k) total += static_cast<Code>(byte(x, r, k)) * static_cast<int8_t>(byte(y, r, k));
      return total;
    });
  }
  static Narrow add4(Narrow sum, Ints x, Ints y) { return dot<uint8_t>(sum, x, y); }
  static Ints add8(Ints sum, Ints x, Ints y) { return dot<int8_t>(sum, x, y); }
  static Ints subtract(Ints x, Ints y) { return each<Ints>([&](int r) { return x.at[r] - y.at[r]; }); }
  static Ints multiply(Ints x, Ints y) { return each<Ints>([&](int r) { return x.at[r] * y.at[r]; }); }
  static Floats to_floats(Ints x) { return each<Floats>([&](int r) { return static_cast<float>(x.at[r]); }); }
  static Floats times(Floats x, Floats y) { return each<Floats>([&](int r) { return x.at[r] * y.at[r]; }); }
  static Floats fused(Floats x, Floats y, Floats z) { return each<Floats>([&](int r) { return std::fma(x.at[r], y.at[r], z.at[r]); }); }
  static Floats plus(Floats x, Floats y) { return each<Floats>([&](int r) { return x.at[r] + y.at[r]; }); }
  static Floats larger(Floats x, Floats y) { return each<Floats>([&](int r) { return x.at[r] > y.at[r] ? x.at[r] : y.at[r]; }); }
  static Ints rounded(Floats x) { return each<Ints>([&](int r) { return std::isnan(x.at[r]) ? 0 : static_cast<int32_t>(std::nearbyint(x.at[r])); }); }
  static Floats power_of_two(Ints x) {
    Floats found;
    for (int r = 0; r < rows; ++r) x.at[r] = (x.at[r] + 127) << 23;
    std::memcpy(&found, &x, sizeof found);
    return found;
  }
  static void store_short(int16_t* at, Ints x) {
    for (int r = 0; r < rows; ++r) at[r] = static_cast<int16_t>(x.at[r]);
  }
  static constexpr int COLUMNS = 2 * rows, TOGETHER = 4;
  struct Columns { const int8_t *even, *odd; };
  using Pair = const int16_t*;
  static Columns columns_of(const int8_t* even, const int8_t* odd) { return {even, odd}; }
  static Pair pair_of(const int16_t* weights) { return weights; }
  static void add_columns(Ints (&sums)[2], const Columns& values, Pair weights) {
    for (int c = 0; c < COLUMNS; ++c) sums[c / rows].at[c % rows] += values.even[c] * weights[0] + values.odd[c] * weights[1];
  }
  static void store_columns(float* at, const Ints (&sums)[2], Floats factor) {
    store(at, times(to_floats(sums[0]), factor)), store(at + rows, times(to_floats(sums[1]), factor));
  }
  static int32_t signed_dot(const int8_t* q, const int8_t* k, size_t count) {
    int32_t sum = 0;
    for (size_t i = 0; i < count; ++i) sum += q[i] * k[i];
    return sum;
  }
  static void four_dots(const int8_t* q, const int8_t* k, size_t stride, size_t count, int32_t* out) {
    for (size_t t = 0; t < 4; ++t) out[t] = signed_dot(q, k + t * stride, count);
  }
};

bool everywhere() { return true; }

}  // namespace

extern const KernelSet SCALAR;
const KernelSet SCALAR = {"scalar", everywhere, Scalar::rows, quantize, multiply<Scalar>, attend<Scalar>};

}  // namespace thinkport
