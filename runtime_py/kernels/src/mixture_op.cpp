// QuantizedExperts: a mixture of experts as QMoE does it, each expert silu(gate) * up between two matrices of codes.
//
// Inputs: x (…, hidden) float32; logits (rows, experts) float32, the router's; codes (experts, 2 inner, hidden * bits / 8)
// uint8, whose rows are a gate and its up in turn, and their scales (experts, 2 inner, hidden / group) float32; codes
// (experts, hidden, inner * bits / 8) and their scales alike. Attributes: k, how many experts a row takes; bits,
// block_size. All zero points are 2**(bits - 1). Output: (…, hidden), each row's k likeliest experts by their shares, a
// softmax over those k; of equal logits the lower expert is taken.
//
// Rows are sorted by expert, and an expert's matrices meet all of its rows at once. A row's experts are added in the order
// of their numbers, so a row's result does not depend on the rows beside it.
#include <algorithm>
#include <cmath>

#include "mixture_op.h"
#include "stored_matrix.h"

namespace thinkport {
namespace {

enum Input { X, LOGITS, INTO, INTO_SCALES, BACK, BACK_SCALES };

struct Mixture {
  static constexpr const char* NAME = "QuantizedExperts";
  static constexpr Argument INPUTS[] = {{ort::FLOAT}, {ort::FLOAT}, {ort::UINT8}, {ort::FLOAT}, {ort::UINT8}, {ort::FLOAT}};
  static constexpr Argument OUTPUTS[] = {{ort::FLOAT}};

  std::shared_ptr<Session> session;
  std::shared_ptr<Pages> pages;
  size_t k;
  std::vector<PackedMatrix> into, back;  // of each expert

  size_t experts() const { return into.size(); }
  size_t hidden() const { return into[0].columns; }
  size_t inner() const { return back[0].columns; }

  static std::unique_ptr<Mixture> make(const std::shared_ptr<Session>& session, const ort::KernelInfo* info);
  void run(ort::Context* context) const;
};

// The matrices of all experts, one packed behind the other; `like` has their group and bits.
std::vector<PackedMatrix> packed(const Expectations& expect, const Session& session, Pages& pages, PackedMatrix like, const Tensor& codes, const Tensor& scales) {
  expect(codes.data && scales.data && codes.shape.size() == 3, "codes and scales are constants of the graph, an expert's behind another's");
  const size_t experts = static_cast<size_t>(codes.shape[0]);
  like.rows = static_cast<size_t>(codes.shape[1]), like.columns = static_cast<size_t>(codes.shape[2]) * 8 / static_cast<size_t>(like.bits);
  check_sizes(expect, like);
  expect(experts - 1 < MOST && items(scales) == experts * like.rows * like.groups(), "scales has one value a group");
  std::vector<PackedMatrix> all(experts, like);
  for (PackedMatrix& one : all) {
    one.data = pages.take(one.bytes());
    if (!one.data) throw std::bad_alloc();
  }
  const size_t code_bytes = items(codes) / experts, values = like.rows * like.groups();
  on_threads(session.threads, experts, [&](size_t first, size_t last) {
    for (size_t e = first; e < last; ++e) {
      const StoredMatrix stored = {like.rows, like.columns, like.group, like.bits, codes.as<uint8_t>() + e * code_bytes, scales.as<float>() + e * values, nullptr};
      pack(stored, all[e], 0, all[e].tiles());
    }
  });
  drop_file_pages(codes.data, items(codes));
  return all;
}

}  // namespace

std::unique_ptr<Mixture> Mixture::make(const std::shared_ptr<Session>& session, const ort::KernelInfo* info) {
  auto kernel = std::make_unique<Mixture>();
  ort::Api* api = session->api;
  const Expectations expect{api, NAME};
  kernel->session = session, kernel->pages = session->pages();
  kernel->k = static_cast<size_t>(attribute(api, info, "k"));
  PackedMatrix like = {0, 0, static_cast<size_t>(attribute(api, info, "block_size")), static_cast<int>(attribute(api, info, "bits")), false, session->set->tile_rows, nullptr};
  expect(like.bits == 4 || like.bits == 8, "bits is 4 or 8");
  const auto all = [&](Input codes, Input scales) {
    return packed(expect, *session, *kernel->pages, like, constant(expect, info, codes, ort::UINT8), constant(expect, info, scales, ort::FLOAT));
  };
  kernel->into = all(INTO, INTO_SCALES), kernel->back = all(BACK, BACK_SCALES);
  expect(kernel->back.size() == kernel->experts() && kernel->back[0].rows == kernel->hidden() && kernel->into[0].rows == 2 * kernel->inner(),
         "experts go from hidden to twice inner rows, and back from inner to hidden");
  expect(kernel->k - 1 < kernel->experts(), "k is 1 to the number of experts");
  return kernel;
}

namespace {

// Rows as an expert takes them: codes, and by groups their scales and sums.
struct Rounded {
  std::vector<int8_t> codes;
  std::vector<float> scales;
  std::vector<int32_t> sums;
  size_t rows, columns, group;

  Rounded(size_t rows, size_t columns, size_t group) : codes(rows * columns), scales(rows * columns / group), sums(scales.size()), rows(rows), columns(columns), group(group) {}
  void take(const KernelSet& set, const float* values, size_t row) {
    set.quantize(values, 1, columns, group, rows, codes.data() + row * group, scales.data() + row, sums.data() + row);
  }
  Activations from(size_t row) const { return Activations{codes.data(), scales.data(), sums.data(), columns / group, group, rows}.from(row); }
};

// One call. A slot is a row that an expert takes; slots lie in the order of experts, and of rows within one.
struct Mixing {
  const Mixture& kernel;
  const float* x;
  const float* logits;
  float* out;
  size_t rows, tasks = 1;
  std::vector<size_t> first = {};      // (experts + 1,) the slots of each expert
  std::vector<size_t> row_of = {};     // (slots,)
  std::vector<size_t> slots_of = {};   // (rows, k) by the number of the expert
  std::vector<float> shares = {};      // (rows, k) likewise
  std::vector<float> between = {};     // (slots, 2 inner)
  std::vector<float> parts = {};       // (slots, hidden)
  Rounded in, mid;

  Mixing(const Mixture& kernel, const float* x, const float* logits, float* out, size_t rows)
      : kernel(kernel), x(x), logits(logits), out(out), rows(rows),
        in(rows * kernel.k, kernel.hidden(), kernel.into[0].group), mid(rows * kernel.k, kernel.inner(), kernel.back[0].group) {
    route();
    between.resize(slots() * 2 * kernel.inner()), parts.resize(slots() * kernel.hidden());
  }
  size_t slots() const { return rows * kernel.k; }

  // The likeliest experts of a row by their numbers, and their shares.
  void choose(size_t row, size_t* chosen) {
    const float* own = logits + row * kernel.experts();
    const auto key = [own](size_t e) { return std::isnan(own[e]) ? -INFINITY : own[e]; };  // NaN has no order
    std::vector<size_t> order(kernel.experts());
    for (size_t e = 0; e < order.size(); ++e) order[e] = e;
    const auto end = order.begin() + static_cast<std::ptrdiff_t>(kernel.k);
    std::partial_sort(order.begin(), end, order.end(), [&](size_t a, size_t b) { return key(a) > key(b) || (key(a) == key(b) && a < b); });
    const float top = own[order[0]];
    std::sort(order.begin(), end);
    float total = 0;
    for (size_t n = 0; n < kernel.k; ++n) chosen[n] = order[n], total += shares[row * kernel.k + n] = std::exp(own[order[n]] - top);
    for (size_t n = 0; n < kernel.k; ++n) shares[row * kernel.k + n] /= total;
  }
  void route() {
    std::vector<size_t> chosen(slots());
    shares.resize(slots()), slots_of.resize(slots()), row_of.resize(slots()), first.assign(kernel.experts() + 1, 0);
    for (size_t row = 0; row < rows; ++row) choose(row, chosen.data() + row * kernel.k);
    for (const size_t expert : chosen) ++first[expert + 1];
    for (size_t e = 0; e < kernel.experts(); ++e) first[e + 1] += first[e];
    std::vector<size_t> next(first.begin(), first.end() - 1);
    for (size_t at = 0; at < slots(); ++at) slots_of[at] = next[chosen[at]]++, row_of[slots_of[at]] = at / kernel.k;
  }

  // Runs `Step` on [0, count) of its tasks, on the session's threads where there is enough to do.
  template <void (*STEP)(Mixing&, size_t)>
  void on_pool(ort::Context* context, size_t most, size_t work) {
    tasks = std::min({kernel.session->threads == 1 ? 1 : kernel.session->threads * TASKS, most, std::max<size_t>(1, work / LEAST_WORK)});
    if (tasks == 1) return STEP(*this, 0);
    const auto task = [](void* of, size_t number) { STEP(*static_cast<Mixing*>(of), number); };
    check(ort::ParallelFor::call(kernel.session->api, context, static_cast<void (*)(void*, size_t)>(task), tasks, 0, this));
  }
  size_t begin(size_t task, size_t count) const { return count * task / tasks; }

  static void round_rows(Mixing& of, size_t task) {
    for (size_t slot = of.begin(task, of.slots()); slot < of.begin(task + 1, of.slots()); ++slot)
      of.in.take(*of.kernel.session->set, of.x + of.row_of[slot] * of.kernel.hidden(), slot);
  }
  // Tiles of all experts that have rows, each as long as it has rows: a task is a stretch of that.
  void multiply(size_t task, const std::vector<PackedMatrix>& matrices, const Rounded& rounded, float* to) const {
    const size_t tiles = matrices[0].tiles(), width = matrices[0].rows;
    const size_t from = begin(task, slots() * tiles), until = begin(task + 1, slots() * tiles);
    for (size_t e = 0; e < kernel.experts(); ++e) {
      const size_t count = first[e + 1] - first[e], start = first[e] * tiles;
      const auto tile = [&](size_t at) { return at <= start ? 0 : std::min(tiles, (at - start) / count); };
      if (count == 0 || until <= start || from >= first[e + 1] * tiles) continue;
      if (tile(from) < tile(until))
        kernel.session->set->multiply(matrices[e], rounded.from(first[e]), count, tile(from), tile(until), nullptr, to + first[e] * width);
    }
  }
  static void go_in(Mixing& of, size_t task) { of.multiply(task, of.kernel.into, of.in, of.between.data()); }
  static void gate(Mixing& of, size_t task) {
    const size_t inner = of.kernel.inner();
    for (size_t slot = of.begin(task, of.slots()); slot < of.begin(task + 1, of.slots()); ++slot) {
      float* both = of.between.data() + slot * 2 * inner;
      for (size_t i = 0; i < inner; ++i) {
        const float gate = both[2 * i], up = both[2 * i + 1];
        both[i] = gate / (1 + std::exp(-gate)) * up;
      }
      of.mid.take(*of.kernel.session->set, both, slot);
    }
  }
  static void go_back(Mixing& of, size_t task) { of.multiply(task, of.kernel.back, of.mid, of.parts.data()); }
  static void add(Mixing& of, size_t task) {
    const size_t hidden = of.kernel.hidden(), k = of.kernel.k;
    for (size_t row = of.begin(task, of.rows); row < of.begin(task + 1, of.rows); ++row) {
      float* to = of.out + row * hidden;
      std::fill(to, to + hidden, 0.0f);
      for (size_t n = 0; n < k; ++n) {
        const float share = of.shares[row * k + n];
        const float* part = of.parts.data() + of.slots_of[row * k + n] * hidden;
        for (size_t i = 0; i < hidden; ++i) to[i] += share * part[i];
      }
    }
  }
};

}  // namespace

void Mixture::run(ort::Context* context) const {
  ort::Api* api = session->api;
  const Expectations expect{api, NAME};
  const ort::Value *value, *router;
  check(ort::GetInput::call(api, context, X, &value));
  check(ort::GetInput::call(api, context, LOGITS, &router));
  const Tensor in = read(api, value), logits = read(api, router);
  expect(!in.shape.empty() && in.shape.back() == static_cast<int64_t>(hidden()), "x has as many columns as experts take");
  const size_t rows = items(in) / hidden();
  expect(items(logits) == rows * experts(), "logits has one value a row and expert");
  ort::Value* out;
  void* to;
  check(ort::GetOutput::call(api, context, 0, in.shape.data(), in.shape.size(), &out));
  check(ort::MutableData::call(api, out, &to));
  if (rows == 0) return;
  Mixing call(*this, in.as<float>(), logits.as<float>(), static_cast<float*>(to), rows);
  const size_t slots = call.slots();
  call.on_pool<Mixing::round_rows>(context, slots, slots * hidden());
  call.on_pool<Mixing::go_in>(context, slots * into[0].tiles(), slots * hidden() * into[0].rows);
  call.on_pool<Mixing::gate>(context, slots, slots * inner() * 16);
  call.on_pool<Mixing::go_back>(context, slots * back[0].tiles(), slots * hidden() * inner());
  call.on_pool<Mixing::add>(context, rows, slots * hidden());
}

SessionOp mixture_op(std::shared_ptr<Session> session) { return Op<Mixture>::of(std::move(session)); }

}  // namespace thinkport
