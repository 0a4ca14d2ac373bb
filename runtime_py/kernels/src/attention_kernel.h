// Queries over a span of a KV cache, for any vector type; see Span. Each kernel set compiles it for its own.
//
// V is as in matrix_kernel.h, and has
//   signed_dot          an exact dot of two rows of int8, whose length is a multiple of 32
//   load_bytes          as many int8 as V has lanes, as float32
//   rounded, power_of_two, plus, larger
// Numbers are the same to the bit for every V: dots are exact, weights are summed in 16 lanes whatever V has, and each
// value is summed token by token.
#pragma once

#include <cmath>
#include <initializer_list>
#include <cstring>

#include "kernel_set.h"

namespace thinkport {
namespace {

constexpr size_t LANES = 16;

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

// Scores become weights: e**(score - top), 0 for tokens that are not seen. Returns their sum.
template <class V>
float weights_of(float* scores, size_t seen, float top) {
  float lanes[LANES] = {};
  const auto highest = V::spread_float(-top);
  for (size_t at = 0; at < seen; at += LANES) {
    for (size_t part = 0; part < LANES; part += V::rows) {
      float* here = scores + at + part;
      V::store(here, exponential<V>(V::plus(V::load_floats(reinterpret_cast<const uint8_t*>(here)), highest)));
    }
    for (size_t lane = 0; lane < LANES; ++lane) {
      if (at + lane >= seen) scores[at + lane] = 0;
      lanes[lane] += scores[at + lane];
    }
  }
  for (size_t half = LANES / 2; half; half /= 2)
    for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
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
  constexpr int WIDE = 2;  // with four queries eight sums, which registers hold
  for (size_t column = 0; column < span.width; column += WIDE * V::rows) sum_columns<V, N, WIDE>(span, weights, tokens, column, found);
}

template <class V>
void attend(const Span& span, Found* found) {
  float weights[Span::QUERIES][Span::TOKENS];
  size_t most = 0;
  for (size_t n = 0; n < span.queries; ++n) most = span.seen[n] > most ? span.seen[n] : most;
  for (size_t n = 0; n < span.queries; ++n) {
    const size_t seen = span.seen[n];
    float top = -INFINITY;
    const int8_t* key = span.keys;
    for (size_t token = 0; token < seen; ++token, key += span.stride()) {
      float scale;
      std::memcpy(&scale, key + span.width, 4);
      const float score = static_cast<float>(V::signed_dot(span.codes + n * span.width, key, span.width)) * (scale * span.scales[n]);
      weights[n][token] = score;
      top = score > top || score != score ? score : top;
    }
    for (size_t token = seen; token < Span::TOKENS; ++token) weights[n][token] = 0;
    found[n].top = top;
    found[n].sum = seen ? weights_of<V>(weights[n], seen, top) : 0;
  }
  const int8_t* scale_at = span.values + span.width;
  for (size_t token = 0; token < most; ++token, scale_at += span.stride()) {
    float scale;
    std::memcpy(&scale, scale_at, 4);
    for (size_t n = 0; n < span.queries; ++n) weights[n][token] *= scale;
  }
  for (size_t n = 0; n < span.queries;) {
    switch (span.queries - n) {
      case 1: sum_values<V, 1>(span, weights + n, most, found + n), n += 1; break;
      case 2: sum_values<V, 2>(span, weights + n, most, found + n), n += 2; break;
      case 3: sum_values<V, 3>(span, weights + n, most, found + n), n += 3; break;
      default: sum_values<V, 4>(span, weights + n, most, found + n), n += 4; break;
    }
  }
}

}  // namespace
}  // namespace thinkport
