// CachedAttention: normalizes, turns, caches and attends, from one packed projection to the input of the next.
//
// Inputs: qkv (batch, tokens, (heads + 2 kv_heads) * width) float32; past_key and past_value (batch, kv_heads, capacity,
// width + 4) int8, a row's codes and behind them their scale as float32; seqlens_k (batch,) int32, the tokens of each row
// with those of this step, less one; total_sequence_length, the largest of these plus one, int32; cos and sin (positions,
// width / 2) float32; q_norm and k_norm (width,) float32, both or none. Attributes: num_heads, kv_num_heads, scale,
// epsilon of the norms. Outputs: (batch, tokens, heads * width), and past_key and past_value with this step's tokens, in
// the same buffers if the caller binds the same.
//
// As GroupQueryAttention does it: a first step of several tokens begins at position 0 and may be padded on the right; a
// later one ends with each row's last token. Queries and keys are mixed, and they and values rounded to int8 with
// a scale a token and head.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "attention_op.h"

namespace thinkport {
namespace {

constexpr size_t MOST_WIDTH = 512;
constexpr size_t MOST_REPEATS = 16;                // heads of a KV head
constexpr size_t MOST_VALUES = MOST_REPEATS * MOST_WIDTH;  // that queries of a task find: they lie on its stack
constexpr size_t MOST_HEADS = size_t{1} << 16;  // sizes of what is made of them don't overflow

enum Input { QKV, PAST_KEY, PAST_VALUE, LENGTHS, TOTAL, COS, SIN, Q_NORM, K_NORM };

struct Attention {
  static constexpr const char* NAME = "CachedAttention";
  static constexpr Argument INPUTS[] = {{ort::FLOAT}, {ort::INT8}, {ort::INT8}, {ort::INT32}, {ort::INT32},
                                        {ort::FLOAT}, {ort::FLOAT}, {ort::FLOAT, ort::OPTIONAL}, {ort::FLOAT, ort::OPTIONAL}};
  static constexpr Argument OUTPUTS[] = {{ort::FLOAT}, {ort::INT8}, {ort::INT8}};

  std::shared_ptr<Session> session;
  size_t heads, kv_heads;
  float scale, epsilon;

  static std::unique_ptr<Attention> make(const std::shared_ptr<Session>& session, const ort::KernelInfo* info);
  void run(ort::Context* context) const;
};

// One step of one call, shared by its tasks.
struct Step {
  const Attention& kernel;
  size_t batch = 0, tokens = 0, capacity = 0, width = 0;
  const float *qkv = nullptr, *cosines = nullptr, *sines = nullptr, *q_norm = nullptr, *k_norm = nullptr;
  int8_t *keys = nullptr, *values = nullptr;  // the caches, with the past already in them
  float* out = nullptr;
  std::vector<size_t> past = {};   // of each row of the batch
  int8_t* codes = nullptr;         // (batch, tokens, heads, width) of the queries
  float* scales = nullptr;         // (batch, tokens, heads)
  float* partial = nullptr;        // (batch, heads, spans, width + 2), where spans are tasks of their own
  size_t spans = 1, blocks = 1, block_rows = 1;

  size_t all_heads() const { return kernel.heads + 2 * kernel.kv_heads; }
  size_t repeats() const { return kernel.heads / kernel.kv_heads; }
  size_t row_bytes() const { return width + 4; }
  size_t partial_floats() const { return width + 2; }
  int8_t* row_of(int8_t* cache, size_t b, size_t kv_head, size_t position) const {
    return cache + ((b * kernel.kv_heads + kv_head) * capacity + position) * row_bytes();
  }

  void prepare(size_t item) const;
  void attend(size_t item) const;
  void attend_span(size_t b, size_t kv_head, size_t first, size_t rows, size_t span, Found* found) const;
  void merge(size_t item) const;
  void write(size_t b, size_t row, size_t head, const Found& found) const;
};

// x / rms(x) * weight; squares are added in eight lanes, whatever the CPU.
void normalize(float* x, const float* weight, size_t width, float epsilon) {
  float lanes[8] = {};
  for (size_t i = 0; i < width; i += 8)
    for (size_t lane = 0; lane < 8; ++lane) lanes[lane] += x[i + lane] * x[i + lane];
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  const float factor = 1.0f / std::sqrt(sum / static_cast<float>(width) + epsilon);
  for (size_t i = 0; i < width; ++i) x[i] = x[i] * factor * weight[i];
}

// Turns channel i against channel i + width / 2 (RoFormer, arXiv 2104.09864, in the order of Llama's halves).
void turn(float* x, const float* cosines, const float* sines, size_t width) {
  const size_t half = width / 2;
  for (size_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    x[i] = a * cosines[i] - b * sines[i];
    x[i + half] = b * cosines[i] + a * sines[i];
  }
}

// The Walsh-Hadamard transform of stretches as long as the largest power of two in the width, not divided by its norm:
// dots of two heads become `stretch` times as large. Rotary makes a few channels of a head much larger than the others;
// mixed, they share one scale without being lost in it (QuaRot, arXiv 2404.00456).
size_t stretch_of(size_t width) { return width & (~width + 1); }

void mix(float* x, size_t width) {
  for (size_t half = 1; half < stretch_of(width); half *= 2)
    for (size_t first = 0; first < width; first += 2 * half)
      for (size_t i = first; i < first + half; ++i) {
        const float a = x[i], b = x[i + half];
        x[i] = a + b, x[i + half] = a - b;
      }
}

// One head of one token: a query is rounded for the dots, a key or value into its cache.
void Step::prepare(size_t item) const {
  const size_t head = item % all_heads(), token = item / all_heads() % tokens, b = item / all_heads() / tokens;
  const size_t position = past[b] + token;
  float x[MOST_WIDTH];
  std::memcpy(x, qkv + ((b * tokens + token) * all_heads() + head) * width, width * sizeof(float));
  const bool query = head < kernel.heads, value = head >= kernel.heads + kernel.kv_heads;
  if (!value) {
    if (q_norm) normalize(x, query ? q_norm : k_norm, width, kernel.epsilon);
    turn(x, cosines + position * (width / 2), sines + position * (width / 2), width);
    mix(x, width);
  }
  float scale;
  int32_t sum;
  if (query) {
    const size_t of = (b * tokens + token) * kernel.heads + head;
    kernel.session->set->quantize(x, 1, width, width, 1, codes + of * width, &scale, &sum);
    scales[of] = scale * kernel.scale / static_cast<float>(stretch_of(width));
    return;
  }
  const size_t kv_head = head - kernel.heads - (value ? kernel.kv_heads : 0);
  int8_t* row = row_of(value ? values : keys, b, kv_head, position);
  kernel.session->set->quantize(x, 1, width, width, 1, row, &scale, &sum);
  std::memcpy(row + width, &scale, 4);
}

// Adds what a later span found. Both are relative to their largest score.
void add(Found& to, const Found& more, size_t width) {
  if (more.sum == 0) return;
  const float top = to.top > more.top ? to.top : more.top;
  const float old = to.sum == 0 ? 0.0f : std::exp(to.top - top), fresh = std::exp(more.top - top);
  to.top = top;
  to.sum = to.sum * old + more.sum * fresh;
  float* __restrict sums = to.values;
  const float* __restrict found = more.values;
  for (size_t i = 0; i < width; ++i) sums[i] = sums[i] * old + found[i] * fresh;
}

// Rows [first, first + rows) of one KV head's queries against one span.
void Step::attend_span(size_t b, size_t kv_head, size_t first, size_t rows, size_t span, Found* found) const {
  size_t seen[Span::QUERIES];
  int8_t asked[MOST_VALUES];
  float asked_scales[Span::QUERIES];
  size_t n = 0;
  for (size_t row = first; row < first + rows; ++row)
    for (size_t r = 0; r < repeats(); ++r, ++n) {
      const size_t of = (b * tokens + row) * kernel.heads + kv_head * repeats() + r;
      std::memcpy(asked + n * width, codes + of * width, width);
      asked_scales[n] = scales[of];
      const size_t end = past[b] + row + 1, begin = span * Span::TOKENS;
      seen[n] = end <= begin ? 0 : std::min(end - begin, Span::TOKENS);
    }
  const size_t at = span * Span::TOKENS;
  kernel.session->set->attend({asked, asked_scales, seen, n, row_of(keys, b, kv_head, at), row_of(values, b, kv_head, at), width}, found);
}

// Queries of one KV head in some rows, against all of their context, one span after the other; or against one span,
// whose finds are kept for `merge`.
void Step::attend(size_t item) const {
  const size_t span = item % spans, block = item / spans % blocks, kv_head = item / spans / blocks % kernel.kv_heads;
  const size_t b = item / spans / blocks / kernel.kv_heads, first = block * block_rows;
  const size_t rows = std::min(block_rows, tokens - first), queries = rows * repeats();
  const size_t needed = (past[b] + first + rows + Span::TOKENS - 1) / Span::TOKENS;
  float values[MOST_VALUES], sums[MOST_VALUES];
  Found found[Span::QUERIES], total[Span::QUERIES];
  for (size_t n = 0; n < queries; ++n) {
    found[n].values = values + n * width;
    total[n] = {-INFINITY, 0, sums + n * width};
    std::fill(total[n].values, total[n].values + width, 0.0f);
  }
  if (spans > 1) {
    if (span < needed) attend_span(b, kv_head, first, rows, span, found);
    for (size_t n = 0; n < queries; ++n) {
      float* kept = partial + ((((b * kernel.kv_heads + kv_head) * repeats() + n) * spans) + span) * partial_floats();
      kept[0] = found[n].top, kept[1] = span < needed ? found[n].sum : 0;
      if (kept[1] != 0) std::memcpy(kept + 2, found[n].values, width * sizeof(float));
    }
    return;
  }
  for (size_t one = 0; one < needed; ++one) {
    attend_span(b, kv_head, first, rows, one, found);
    for (size_t n = 0; n < queries; ++n) add(total[n], found[n], width);
  }
  for (size_t n = 0; n < queries; ++n) write(b, first + n / repeats(), kv_head * repeats() + n % repeats(), total[n]);
}

// One head of one row: the spans that were tasks of their own, in their order.
void Step::merge(size_t item) const {
  float sums[MOST_WIDTH] = {};
  Found total = {-INFINITY, 0, sums};
  for (size_t span = 0; span < spans; ++span) {
    float* kept = partial + (item * spans + span) * partial_floats();
    add(total, {kept[0], kept[1], kept + 2}, width);
  }
  write(item / kernel.heads, 0, item % kernel.heads, total);
}

void Step::write(size_t b, size_t row, size_t head, const Found& found) const {
  float* to = out + ((b * tokens + row) * kernel.heads + head) * width;
  for (size_t i = 0; i < width; ++i) to[i] = found.values[i] / found.sum;
}

// Runs a part of a step for each of `count` items, in as many tasks as pay.
template <void (Step::*PART)(size_t) const>
void each(const Step& step, ort::Context* context, size_t count, size_t least) {
  struct Shared {
    const Step& step;
    size_t count, tasks;
    static void task(void* shared, size_t task) {
      const Shared& of = *static_cast<Shared*>(shared);
      for (size_t item = of.count * task / of.tasks; item < of.count * (task + 1) / of.tasks; ++item) (of.step.*PART)(item);
    }
  };
  const size_t threads = step.kernel.session->threads;
  Shared shared = {step, count, threads == 1 ? 1 : std::min(threads * 4, std::max<size_t>(1, count / least))};
  if (shared.tasks == 1) Shared::task(&shared, 0);
  else check(ort::ParallelFor::call(step.kernel.session->api, context, Shared::task, shared.tasks, 0, &shared));
}

Tensor input(ort::Api* api, ort::Context* context, Input at) {
  const ort::Value* value = nullptr;
  check(ort::GetInput::call(api, context, at, &value));
  return value ? read(api, value) : Tensor{};
}

void* output(ort::Api* api, ort::Context* context, size_t at, const std::vector<int64_t>& shape) {
  ort::Value* value;
  void* data;
  check(ort::GetOutput::call(api, context, at, shape.data(), shape.size(), &value));
  check(ort::MutableData::call(api, value, &data));
  return data;
}

void expect(ort::Api* api, bool holds, const char* what) {
  if (!holds) fail(api, std::string("CachedAttention: ") + what);
}

}  // namespace

std::unique_ptr<Attention> Attention::make(const std::shared_ptr<Session>& session, const ort::KernelInfo* info) {
  auto kernel = std::make_unique<Attention>();
  kernel->session = session;
  kernel->heads = static_cast<size_t>(attribute(session->api, info, "num_heads"));
  kernel->kv_heads = static_cast<size_t>(attribute(session->api, info, "kv_num_heads"));
  check(ort::FloatAttribute::call(session->api, info, "scale", &kernel->scale));
  check(ort::FloatAttribute::call(session->api, info, "epsilon", &kernel->epsilon));
  expect(session->api, kernel->heads - 1 < MOST_HEADS && kernel->kv_heads && kernel->heads % kernel->kv_heads == 0 && kernel->heads / kernel->kv_heads <= MOST_REPEATS,
         "each KV head has 1 to 16 heads");
  return kernel;
}

void Attention::run(ort::Context* context) const {
  ort::Api* api = session->api;
  const Tensor qkv = input(api, context, QKV), past_key = input(api, context, PAST_KEY), past_value = input(api, context, PAST_VALUE);
  const Tensor lengths = input(api, context, LENGTHS), total = input(api, context, TOTAL);
  const Tensor cosines = input(api, context, COS), sines = input(api, context, SIN);
  const Tensor q_norm = input(api, context, Q_NORM), k_norm = input(api, context, K_NORM);
  expect(api, qkv.shape.size() == 3 && past_key.shape.size() == 4 && past_key.shape == past_value.shape, "qkv has 3 dimensions, each past 4");
  const size_t width = static_cast<size_t>(past_key.shape[3]) - 4;
  expect(api, width % 32 == 0 && width - 1 < MOST_WIDTH, "heads are multiples of 32 wide, at most 512");
  expect(api, past_key.shape[0] == qkv.shape[0] && past_key.shape[1] == static_cast<int64_t>(kv_heads), "each past has qkv's batch and all KV heads");
  const std::vector<int64_t> of_head = {static_cast<int64_t>(width)};
  expect(api, lengths.shape.size() == 1 && lengths.shape[0] == qkv.shape[0] && (total.shape.empty() || total.shape == std::vector<int64_t>{1}),
         "lengths and total are of the batch");
  expect(api, cosines.shape.size() == 2 && cosines.shape[1] * 2 == of_head[0] && sines.shape == cosines.shape, "cos and sin have a row a position of half a head");
  expect(api, q_norm.shape == k_norm.shape && (!q_norm.data || q_norm.shape == of_head), "norms are of a head's width, both or none");
  expect(api, qkv.shape[2] == static_cast<int64_t>((heads + 2 * kv_heads) * width), "qkv has as many columns as all heads");

  Step step = {*this};
  step.batch = static_cast<size_t>(qkv.shape[0]), step.tokens = static_cast<size_t>(qkv.shape[1]);
  step.capacity = static_cast<size_t>(past_key.shape[2]), step.width = width;
  step.qkv = qkv.as<float>(), step.cosines = cosines.as<float>(), step.sines = sines.as<float>();
  step.q_norm = q_norm.as<float>(), step.k_norm = k_norm.as<float>();
  step.out = static_cast<float*>(output(api, context, 0, {qkv.shape[0], qkv.shape[1], static_cast<int64_t>(heads * width)}));
  step.keys = static_cast<int8_t*>(output(api, context, 1, past_key.shape));
  step.values = static_cast<int8_t*>(output(api, context, 2, past_key.shape));
  const size_t cache_bytes = step.batch * kv_heads * step.capacity * step.row_bytes();
  if (step.keys != past_key.data) std::memcpy(step.keys, past_key.data, cache_bytes);
  if (step.values != past_value.data) std::memcpy(step.values, past_value.data, cache_bytes);
  const bool first = static_cast<int64_t>(*total.as<int32_t>()) == qkv.shape[1];
  size_t longest = 0;
  for (size_t b = 0; b < step.batch; ++b) {
    const int64_t length = lengths.as<int32_t>()[b];
    expect(api, length >= -1, "lengths are at least -1");
    const size_t after = static_cast<size_t>(length + 1);
    expect(api, first || after >= step.tokens, "a row has fewer tokens than the step");
    step.past.push_back(first ? 0 : after - step.tokens);
    longest = std::max(longest, step.past[b] + step.tokens);
  }
  expect(api, longest <= step.capacity && static_cast<int64_t>(longest) <= cosines.shape[0], "the step ends behind its cache or its positions");
  if (step.batch * step.tokens == 0) return;

  const size_t queries = step.batch * step.tokens * heads;
  step.block_rows = std::min(step.tokens, std::max<size_t>(1, std::min(Span::QUERIES, MOST_VALUES / width) / step.repeats()));
  step.blocks = (step.tokens + step.block_rows - 1) / step.block_rows;
  const bool apart = step.tokens == 1 && session->threads > 1;  // else rows and heads are tasks enough
  step.spans = apart ? (longest + Span::TOKENS - 1) / Span::TOKENS : 1;
  const size_t partial = apart ? queries * step.spans * step.partial_floats() : 0;
  uint8_t* memory = scratch(4 * (partial + queries) + queries * width);
  step.partial = reinterpret_cast<float*>(memory);
  step.scales = step.partial + partial;
  step.codes = reinterpret_cast<int8_t*>(step.scales + queries);
  each<&Step::prepare>(step, context, step.batch * step.tokens * step.all_heads(), 32);
  each<&Step::attend>(step, context, step.batch * kv_heads * step.blocks * step.spans, 2);
  if (step.spans > 1) each<&Step::merge>(step, context, queries, 16);
}

SessionOp attention_op(std::shared_ptr<Session> session) { return Op<Attention>::of(std::move(session)); }

}  // namespace thinkport
