// Queries over a span of a KV cache, for any vector type; see Span. Each kernel set compiles it for its own.
//
// V is as in matrix_kernel.h, and has
//   signed_dot          an exact dot of two rows of int8, whose length is a multiple of 32
//   four_dots           the same of one row with four that lie a stride apart
//   load_bytes          as many int8 as V has lanes, as float32
//   TOGETHER            as many queries as share a load of values, at most
//   rounded, power_of_two, plus, larger
// Numbers are the same to the bit for every V: dots are exact, weights are summed in 16 lanes whatever V has, and each
// value is summed token by token. Weights of values stay float32: where a few tokens take nearly all of a head's weight,
// what the others add is lost in codes of int16, which doubled the divergence of a real model in chats.
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

// One query's dots become weights of values: e**(score - top) times the value's scale, 0 for tokens that are not seen.
// Vectors run on to the next multiple of LANES; what they find there is cleared.
template <class V>
void weigh(const int32_t* dots, const float* key_scales, const float* value_scales, size_t seen, float scale, float* weights, Found& found) {
  constexpr size_t PARTS = LANES / V::rows;
  const auto floats = [](const float* from) { return V::load_floats(reinterpret_cast<const uint8_t*>(from)); };
  const size_t end = (seen + LANES - 1) / LANES * LANES;
  const auto clear = [&](float with) {
    for (size_t token = seen; token < end; ++token) weights[token] = with;
  };
  for (size_t at = 0; at < end; at += V::rows) {
    const auto whole = V::to_floats(V::load(reinterpret_cast<const uint8_t*>(dots + at)));
    V::store(weights + at, V::times(whole, V::times(floats(key_scales + at), V::spread_float(scale))));
  }
  clear(-INFINITY);
  float lanes[LANES];
  typename V::Floats tops[2][PARTS], sums[PARTS];  // two, so that one comparison need not wait for the last
  for (auto& of : tops)
    for (auto& part : of) part = V::spread_float(-INFINITY);
  for (auto& part : sums) part = V::zeros();
  for (size_t at = 0; at < end; at += LANES)
    for (size_t part = 0; part < PARTS; ++part) {
      auto& top = tops[at / LANES % 2][part];
      top = V::larger(top, floats(weights + at + part * V::rows));
    }
  for (size_t part = 0; part < PARTS; ++part) V::store(lanes + part * V::rows, V::larger(tops[0][part], tops[1][part]));
  for (size_t half = LANES / 2; half; half /= 2)
    for (size_t lane = 0; lane < half; ++lane) lanes[lane] = lanes[lane] > lanes[lane + half] ? lanes[lane] : lanes[lane + half];
  found.top = lanes[0];
  const auto highest = V::spread_float(-found.top);
  for (size_t at = 0; at < end; at += V::rows) V::store(weights + at, exponential<V>(V::plus(floats(weights + at), highest)));
  clear(0);
  for (size_t at = 0; at < end; at += LANES)
    for (size_t part = 0; part < PARTS; ++part) {
      float* here = weights + at + part * V::rows;
      sums[part] = V::plus(sums[part], floats(here));
      V::store(here, V::times(floats(here), floats(value_scales + at + part * V::rows)));
    }
  clear(0);
  for (size_t token = end; token < Span::TOKENS; ++token) weights[token] = 0;
  for (size_t part = 0; part < PARTS; ++part) V::store(lanes + part * V::rows, sums[part]);
  for (size_t half = LANES / 2; half; half /= 2)
    for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  found.sum = lanes[0];
}

// Weighted sums of values for N queries, WIDE vectors of columns at a time.
template <class V, int N, int WIDE>
INLINE void sum_columns(const Span& span, const float (*weights)[Span::TOKENS], size_t tokens, size_t column, Found* found) {
  typename V::Floats sums[N][WIDE];
  for (int n = 0; n < N; ++n)
    for (int w = 0; w < WIDE; ++w) sums[n][w] = V::zeros();
  const int8_t* row = span.values + column;
  for (size_t token = 0; token < tokens; ++token, row += span.stride()) {
    typename V::Floats values[WIDE];
    for (int w = 0; w < WIDE; ++w) values[w] = V::load_bytes(row + w * V::rows);
    for (int n = 0; n < N; ++n) {
      const auto weight = V::spread_float(weights[n][token]);
      for (int w = 0; w < WIDE; ++w) sums[n][w] = V::fused(weight, values[w], sums[n][w]);
    }
  }
  for (int n = 0; n < N; ++n)
    for (int w = 0; w < WIDE; ++w) V::store(found[n].values + column + w * V::rows, sums[n][w]);
}

template <class V, int N>
void sum_values(const Span& span, const float (*weights)[Span::TOKENS], size_t tokens, Found* found) {
  // At least eight sums or so: enough to hide how long one addition takes, and few enough for the registers. Heads are
  // multiples of 32 wide.
  constexpr int WIDE = N <= 2 ? 32 / V::rows : 2;
  for (size_t column = 0; column < span.width; column += WIDE * V::rows) sum_columns<V, N, WIDE>(span, weights, tokens, column, found);
}

// The same for the queries that weights begin with, so many at once as share a load; at most `left`.
template <class V, int N>
INLINE size_t sum_some(const Span& span, const float (*weights)[Span::TOKENS], size_t left, size_t tokens, Found* found) {
  if constexpr (N > 1)
    if (left < N) return sum_some<V, N / 2>(span, weights, left, tokens, found);
  sum_values<V, N>(span, weights, tokens, found);
  return N;
}

// A set without instructions for blocks of queries.
struct NoBlocks {
  static constexpr size_t LEAST = Span::QUERIES + 1;
  static void dots(const Span&, size_t, int32_t (*)[Span::TOKENS]) {}
};

// Dots of at least Blocks::LEAST queries are computed by Blocks.
template <class V, class Blocks = NoBlocks>
void attend(const Span& span, Found* found) {
  float key_scales[Span::TOKENS], value_scales[Span::TOKENS];
  float weights[Span::QUERIES][Span::TOKENS];
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
  for (size_t n = 0; n < span.queries;) n += sum_some<V, V::TOGETHER>(span, weights + n, span.queries - n, most, found + n);
}

}  // namespace
}  // namespace thinkport
