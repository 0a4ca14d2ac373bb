// Queries over a span of a KV cache, for any vector type; see Span. Each kernel set compiles it for its own.
//
// V is as in matrix_kernel.h, and has
//   signed_dot          an exact dot of two rows of int8, whose length is a multiple of 32
//   four_dots           the same of one row with four that lie a stride apart
//   Columns, columns_of COLUMNS columns of two tokens' values
//   Pair, pair_of       two tokens' weights, int16
//   add_columns         sums plus both tokens' values times their weights, exact in int32
//   store_columns       such sums times a factor, in the order of columns
//   TOGETHER            as many queries as share a load of values, at most
//   rounded, power_of_two, plus, larger
// Numbers are the same to the bit for every V: dots and sums of values are exact, and weights are summed in 16 lanes
// whatever V has.
#pragma once

#include <cmath>
#include <initializer_list>
#include <cstring>

#include "kernel_set.h"

namespace thinkport {
namespace {

constexpr size_t LANES = 16;
// Bytes of keys and values read ahead: a CPU guesses what comes next within a page of 4 KiB only.
constexpr size_t FETCHED_AHEAD = 2048;

// e**x for x <= 0, or NaN; at least e**-87. Range reduction by ln 2 in two parts and the polynomial of the Cephes library
// (S. Moshier): within 2 ulp.
template <class V>
INLINE typename V::Floats exponential(typename V::Floats x) {
  x = V::larger(V::spread_float(-87.0f), x);
  const auto n = V::rounded(V::times(x, V::spread_float(1.44269504f)));
  const auto whole = V::to_floats(n);
  auto r = V::fused(whole, V::spread_float(-0.693359375f), x);
  r = V::fused(whole, V::spread_float(2.12194440e-4f), r);
  auto y = V::spread_float(1.9875691500e-4f);
  for (const float next : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    y = V::fused(y, r, V::spread_float(next));
  y = V::fused(V::times(y, r), r, V::plus(r, V::spread_float(1.0f)));
  return V::times(y, V::power_of_two(n));
}

// A query's weights of a span's values: codes of int16, zeros from the last token that is seen on, and what one is worth.
struct Weights {
  int16_t codes[Span::TOKENS];
  float factor;
};

// One query's dots become weights of values: e**(score - top) times the value's scale, 0 for tokens that are not seen, as
// codes relative to the largest of them. 256 products of such codes with int8 fit into int32. Vectors run on to the next
// multiple of LANES; what they find there is cleared.
template <class V>
void weigh(const int32_t* dots, const float* key_scales, const float* value_scales, size_t seen, float scale, Weights& weights, Found& found) {
  constexpr size_t PARTS = LANES / V::rows;
  constexpr float MOST = 32767, LEAST = 1e-30f;  // of less, the factor's inverse would not be finite
  float weight[Span::TOKENS];
  int32_t codes[Span::TOKENS];
  const auto floats = [](const float* from) { return V::load_floats(reinterpret_cast<const uint8_t*>(from)); };
  const size_t end = (seen + LANES - 1) / LANES * LANES;
  const auto clear = [&](float with) {
    for (size_t token = seen; token < end; ++token) weight[token] = with;
  };
  float lanes[LANES];
  const auto largest = [&] {
    typename V::Floats tops[2][PARTS];  // two, so that one comparison need not wait for the last
    for (auto& of : tops)
      for (auto& part : of) part = V::spread_float(-INFINITY);
    for (size_t at = 0; at < end; at += LANES)
      for (size_t part = 0; part < PARTS; ++part) {
        auto& top = tops[at / LANES % 2][part];
        top = V::larger(top, floats(weight + at + part * V::rows));
      }
    for (size_t part = 0; part < PARTS; ++part) V::store(lanes + part * V::rows, V::larger(tops[0][part], tops[1][part]));
    for (size_t half = LANES / 2; half; half /= 2)
      for (size_t lane = 0; lane < half; ++lane) lanes[lane] = lanes[lane] > lanes[lane + half] ? lanes[lane] : lanes[lane + half];
    return lanes[0];
  };
  for (size_t at = 0; at < end; at += V::rows) {
    const auto whole = V::to_floats(V::load(reinterpret_cast<const uint8_t*>(dots + at)));
    V::store(weight + at, V::times(whole, V::times(floats(key_scales + at), V::spread_float(scale))));
  }
  clear(-INFINITY);
  found.top = largest();
  const auto highest = V::spread_float(-found.top);
  for (size_t at = 0; at < end; at += V::rows) V::store(weight + at, exponential<V>(V::plus(floats(weight + at), highest)));
  clear(0);
  typename V::Floats sums[PARTS];
  for (auto& part : sums) part = V::zeros();
  for (size_t at = 0; at < end; at += LANES)
    for (size_t part = 0; part < PARTS; ++part) {
      float* here = weight + at + part * V::rows;
      sums[part] = V::plus(sums[part], floats(here));
      V::store(here, V::times(floats(here), floats(value_scales + at + part * V::rows)));
    }
  for (size_t part = 0; part < PARTS; ++part) V::store(lanes + part * V::rows, sums[part]);
  for (size_t half = LANES / 2; half; half /= 2)
    for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  found.sum = lanes[0];
  clear(0);
  const float most = largest();
  const auto inverse = V::spread_float(most > LEAST ? MOST / most : 0);
  auto all = V::zeros();
  for (size_t at = 0; at < end; at += V::rows) {
    const auto whole = V::times(floats(weight + at), inverse);
    all = V::plus(all, whole);
    V::store_ints(codes + at, V::rounded(whole));
  }
  V::store(lanes, all);
  bool good = true;  // comparisons and codes lose a value that is not finite, sums do not
  for (size_t lane = 0; lane < V::rows; ++lane) good = good && lanes[lane] == lanes[lane];
  weights.factor = good ? most / MOST : __builtin_nanf("");
  for (size_t token = 0; token < end; ++token) weights.codes[token] = static_cast<int16_t>(codes[token]);
  for (size_t token = end; token < Span::TOKENS; ++token) weights.codes[token] = 0;
}

// Weighted sums of values for N queries, WIDE times V::COLUMNS columns at a time. The last of an odd number of tokens is
// its own neighbour, with a weight of zero.
template <class V, int N, int WIDE>
INLINE void sum_columns(const Span& span, const Weights* weights, size_t tokens, size_t column, Found* found) {
  typename V::Ints sums[N][WIDE][2];
  for (auto& of : sums)
    for (auto& block : of) block[0] = block[1] = V::spread(0);
  const int8_t* row = span.values + column;
  for (size_t token = 0; token < tokens; token += 2, row += 2 * span.stride()) {
    typename V::Columns values[WIDE];
    const int8_t* next = token + 1 < tokens ? row + span.stride() : row;
    UNROLLED for (int w = 0; w < WIDE; ++w) values[w] = V::columns_of(row + w * V::COLUMNS, next + w * V::COLUMNS);
    UNROLLED for (int n = 0; n < N; ++n) {
      const auto pair = V::pair_of(weights[n].codes + token);
      UNROLLED for (int w = 0; w < WIDE; ++w) V::add_columns(sums[n][w], values[w], pair);
    }
  }
  for (int n = 0; n < N; ++n)
    for (int w = 0; w < WIDE; ++w) V::store_columns(found[n].values + column + w * V::COLUMNS, sums[n][w], V::spread_float(weights[n].factor));
}

template <class V, int N>
void sum_values(const Span& span, const Weights* weights, size_t tokens, Found* found) {
  // At least eight sums: enough to hide how long one addition takes. Heads are multiples of 32 wide.
  constexpr int WIDE = N <= 2 ? 2 : 1, STEP = WIDE * V::COLUMNS;
  size_t column = 0;
  for (; column + STEP <= span.width; column += STEP) sum_columns<V, N, WIDE>(span, weights, tokens, column, found);
  if (column < span.width) sum_columns<V, N, 1>(span, weights, tokens, column, found);
}

// The same for the queries from n on, so many at once as share a load; at most `left`.
template <class V, int N>
INLINE size_t sum_some(const Span& span, const Weights* weights, size_t left, size_t tokens, Found* found) {
  if constexpr (N > 1)
    if (left < N) return sum_some<V, N / 2>(span, weights, left, tokens, found);
  sum_values<V, N>(span, weights, tokens, found);
  return N;
}

// A set without instructions for blocks of queries.
struct NoBlocks {
  static constexpr size_t LEAST = Span::QUERIES + 1;
  static void dots(const Span&, size_t, int32_t (*)[Span::TOKENS]) {}
  static void sum(const Span&, const Weights*, size_t, Found*) {}
};

// Dots and weighted sums of at least Blocks::LEAST queries are computed by Blocks.
template <class V, class Blocks = NoBlocks>
void attend(const Span& span, Found* found) {
  float key_scales[Span::TOKENS], value_scales[Span::TOKENS];
  Weights weights[Span::QUERIES];
  int32_t dots[Span::QUERIES][Span::TOKENS];
  const size_t stride = span.stride(), width = span.width;
  const bool blocks = span.queries >= Blocks::LEAST;
  size_t most = 0;
  for (size_t n = 0; n < span.queries; ++n) most = span.seen[n] > most ? span.seen[n] : most;
  if (blocks) Blocks::dots(span, most, dots);
  for (size_t token = 0; token < most;) {
    const int8_t* key = span.keys + token * stride;
    const bool four = most - token >= 4;
    for (size_t line = 0; four && !blocks && line < 4 * stride; line += 64) {
      __builtin_prefetch(key + FETCHED_AHEAD + line);
      __builtin_prefetch(span.values + token * stride + FETCHED_AHEAD + line);
    }
    for (size_t n = 0; !blocks && n < span.queries; ++n) {
      const int8_t* query = span.codes + n * width;
      if (four) V::four_dots(query, key, stride, width, dots[n] + token);
      else dots[n][token] = V::signed_dot(query, key, width);
    }
    for (const size_t end = token + (four ? 4 : 1); token < end; ++token) {
      std::memcpy(key_scales + token, span.keys + token * stride + width, 4);
      std::memcpy(value_scales + token, span.values + token * stride + width, 4);
    }
  }
  const size_t end = (most + LANES - 1) / LANES * LANES;
  for (size_t token = most; token < end; ++token) key_scales[token] = value_scales[token] = 0;
  for (size_t n = 0; n < span.queries; ++n) {
    for (size_t token = most; token < end; ++token) dots[n][token] = 0;
    weigh<V>(dots[n], key_scales, value_scales, span.seen[n], span.scales[n], weights[n], found[n]);
  }
  if (blocks) return Blocks::sum(span, weights, most, found);
  for (size_t n = 0; n < span.queries;) n += sum_some<V, V::TOGETHER>(span, weights + n, span.queries - n, most, found + n);
}

}  // namespace
}  // namespace thinkport
