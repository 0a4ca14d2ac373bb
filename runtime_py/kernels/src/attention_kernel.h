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
// 256 products of such codes with int8 fit into int32. Rounding them can't err more than rounding the values did: 256
// tokens times half a code times a value of 127 is less than half the step of the value with the largest weight.
struct Weights {
  static constexpr float MOST = 32767, LEAST = 1e-30f;  // of less, the inverse would not be finite
  alignas(64) int16_t codes[Span::TOKENS];
  float factor;
};

// One query's dots become weights of values: e**(score - top) times the value's scale, 0 for tokens that are not seen, as
// codes relative to the largest of them. Scales of values are not negative. Vectors run on to the next multiple of LANES,
// and what they find there is overwritten.
template <class V>
void weigh(const int32_t* dots, const float* key_scales, const float* value_scales, size_t seen, float scale, Weights& weights, Found& found) {
  constexpr size_t PARTS = LANES / V::rows;
  alignas(64) float weight[Span::TOKENS];
  const auto floats = [](const float* from) { return V::load_floats(reinterpret_cast<const uint8_t*>(from)); };
  const size_t end = (seen + LANES - 1) / LANES * LANES;
  typename V::Floats tops[PARTS], sums[PARTS], all[PARTS], largest[PARTS];
  for (size_t part = 0; part < PARTS; ++part) {
    tops[part] = V::spread_float(-INFINITY), largest[part] = sums[part] = all[part] = V::zeros();
  }
  float lanes[LANES];
  const auto top_of = [&](const typename V::Floats (&parts)[PARTS]) {
    for (size_t part = 0; part < PARTS; ++part) V::store(lanes + part * V::rows, parts[part]);
    for (size_t half = LANES / 2; half; half /= 2)
      for (size_t lane = 0; lane < half; ++lane) lanes[lane] = lanes[lane] > lanes[lane + half] ? lanes[lane] : lanes[lane + half];
    return lanes[0];
  };
  const auto sum_of = [&](const typename V::Floats (&parts)[PARTS]) {
    for (size_t part = 0; part < PARTS; ++part) V::store(lanes + part * V::rows, parts[part]);
    for (size_t half = LANES / 2; half; half /= 2)
      for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    return lanes[0];
  };
  for (size_t at = 0; at < end; at += LANES) {
    for (size_t part = 0; part < PARTS; ++part) {
      const size_t here = at + part * V::rows;
      const auto whole = V::to_floats(V::load(reinterpret_cast<const uint8_t*>(dots + here)));
      V::store(weight + here, V::times(whole, V::times(floats(key_scales + here), V::spread_float(scale))));
    }
    for (size_t token = seen; token < at + LANES; ++token) weight[token] = -INFINITY;
    for (size_t part = 0; part < PARTS; ++part) tops[part] = V::larger(tops[part], floats(weight + at + part * V::rows));
  }
  found.top = top_of(tops);
  const auto highest = V::spread_float(-found.top);
  for (size_t at = 0; at < end; at += LANES) {
    const float* by = value_scales + at;
    if (at + LANES > seen) {  // what is not seen has next to no weight, which adds nothing to a sum of at least 1
      for (size_t lane = 0; lane < LANES; ++lane) lanes[lane] = at + lane < seen ? by[lane] : 0;
      by = lanes;
    }
    for (size_t part = 0; part < PARTS; ++part) {
      const auto raised = exponential<V>(V::plus(floats(weight + at + part * V::rows), highest));
      const auto scaled = V::times(raised, floats(by + part * V::rows));
      sums[part] = V::plus(sums[part], raised), all[part] = V::plus(all[part], scaled);
      largest[part] = V::larger(largest[part], scaled);
      V::store(weight + at + part * V::rows, scaled);
    }
  }
  found.sum = sum_of(sums);
  const float total = sum_of(all), most = top_of(largest);
  const auto inverse = V::spread_float(most > Weights::LEAST ? Weights::MOST / most : 0);
  for (size_t at = 0; at < end; at += V::rows) V::store_short(weights.codes + at, V::rounded(V::times(floats(weight + at), inverse)));
  for (size_t token = end; token < Span::TOKENS; ++token) weights.codes[token] = 0;
  // Comparisons and codes lose a value that is not finite, sums do not.
  weights.factor = total - total == 0 ? most / Weights::MOST : __builtin_nanf("");
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
      UNROLLED for (int w = 0; w < WIDE; ++w) {
        V::add_columns(sums[n][w], values[w], pair);
        V::keep(sums[n][w][0]), V::keep(sums[n][w][1]);
      }
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

// Dots of few queries with keys, four keys at once.
template <class V>
void vector_dots(const Span& part, size_t tokens, int32_t (*dots)[Span::TOKENS]) {
  const size_t stride = part.stride(), width = part.width;
  size_t token = 0;
  for (; token + 4 <= tokens; token += 4) {
    const int8_t* key = part.keys + token * stride;
    for (size_t line = 0; line < 4 * stride; line += 64) {
      __builtin_prefetch(key + FETCHED_AHEAD + line);
      __builtin_prefetch(part.values + token * stride + FETCHED_AHEAD + line);
    }
    for (size_t n = 0; n < part.queries; ++n) V::four_dots(part.codes + n * width, key, stride, width, dots[n] + token);
  }
  for (; token < tokens; ++token)
    for (size_t n = 0; n < part.queries; ++n) dots[n][token] = V::signed_dot(part.codes + n * width, part.keys + token * stride, width);
}

// Dots of a part's queries, and sums of all of them.
template <class V>
struct ByVectors {
  static void dots(const Span& part, size_t tokens, int32_t (*dots)[Span::TOKENS]) { vector_dots<V>(part, tokens, dots); }
  static void sum(const Span& span, const Weights* weights, size_t tokens, Found* found) {
    for (size_t n = 0; n < span.queries;) n += sum_some<V, V::TOGETHER>(span, weights + n, span.queries - n, tokens, found + n);
  }
};

// By says how dots and sums are computed.
template <class V, class By = ByVectors<V>>
void attend(const Span& span, Found* found) {
  constexpr size_t PART = Span::PART;
  float key_scales[Span::TOKENS], value_scales[Span::TOKENS];
  Weights weights[Span::QUERIES];
  int32_t dots[PART][Span::TOKENS];
  const auto most_of = [](const Span& of) {
    size_t most = 0;
    for (size_t n = 0; n < of.queries; ++n) most = of.seen[n] > most ? of.seen[n] : most;
    return most;
  };
  const size_t all = most_of(span), stride = span.stride();
  size_t gathered = 0;
  for (size_t first = 0; first < span.queries; first += PART) {
    const size_t count = span.queries - first < PART ? span.queries - first : PART;
    const Span part = {span.codes + first * span.width, span.scales + first, span.seen + first, count, span.keys, span.values, span.width};
    const size_t most = most_of(part);
    By::dots(part, most, dots);
    for (size_t token = gathered; token < most; ++token) {  // behind the dots, which read ahead
      std::memcpy(key_scales + token, span.keys + token * stride + span.width, 4);
      std::memcpy(value_scales + token, span.values + token * stride + span.width, 4);
    }
    gathered = most > gathered ? most : gathered;
    for (size_t n = 0; n < count; ++n)
      weigh<V>(dots[n], key_scales, value_scales, part.seen[n], part.scales[n], weights[first + n], found[first + n]);
  }
  By::sum(span, weights, all, found);
}

}  // namespace
}  // namespace thinkport
