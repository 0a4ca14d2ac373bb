// QuantizedMatMul: rows of float32 times a matrix of 4- or 8-bit codes, as MatMulNBits at accuracy level 4 does it.
//
// Inputs and attributes are those of MatMulNBits (ONNX Runtime's contrib operators), so that a graph changes one for
// the other in place: A (…, K) float32, B, scales, zero_points (optional), g_idx (never), bias (optional); K, N, bits,
// block_size. Activations are rounded to int8 by the matrix's groups. The matrix is packed when the kernel is made, and
// its stored form is dropped from memory.
#include <algorithm>

#include "matrix_op.h"
#include "stored_matrix.h"

namespace thinkport {
namespace {

enum Input { A, B, SCALES, POINTS, ORDER, BIAS };

struct Matrix {
  static constexpr const char* NAME = "QuantizedMatMul";
  static constexpr Argument INPUTS[] = {{ort::FLOAT}, {ort::UINT8}, {ort::FLOAT}, {ort::UINT8, ort::OPTIONAL}, {ort::INT32, ort::OPTIONAL}, {ort::FLOAT, ort::OPTIONAL}};
  static constexpr Argument OUTPUTS[] = {{ort::FLOAT}};

  std::shared_ptr<Session> session;
  std::shared_ptr<Pages> pages;
  PackedMatrix matrix;
  std::vector<float> bias;

  static std::unique_ptr<Matrix> make(const std::shared_ptr<Session>& session, const ort::KernelInfo* info);
  void run(ort::Context* context) const;
};

}  // namespace

std::unique_ptr<Matrix> Matrix::make(const std::shared_ptr<Session>& session, const ort::KernelInfo* info) {
  auto kernel = std::make_unique<Matrix>();
  ort::Api* api = session->api;
  const Expectations expect{api, NAME};
  kernel->session = session;
  kernel->pages = session->pages();
  PackedMatrix& matrix = kernel->matrix;
  matrix.rows = static_cast<size_t>(attribute(api, info, "N"));
  matrix.columns = static_cast<size_t>(attribute(api, info, "K"));
  matrix.group = static_cast<size_t>(attribute(api, info, "block_size"));
  matrix.bits = static_cast<int>(attribute(api, info, "bits"));
  matrix.tile_rows = session->set->tile_rows;
  check_sizes(expect, matrix);

  const Tensor codes = constant(expect, info, B, ort::UINT8), scales = constant(expect, info, SCALES, ort::FLOAT);
  const Tensor points = constant(expect, info, POINTS, ort::UINT8), bias = constant(expect, info, BIAS, ort::FLOAT);
  expect(codes.data && scales.data, "B and scales are constants of the graph");
  expect(items(codes) == matrix.rows * matrix.columns * static_cast<size_t>(matrix.bits) / 8, "B has N rows of K codes");
  expect(items(scales) == matrix.rows * matrix.groups(), "scales has one value a group");
  const size_t point_bytes = matrix.bits == 8 ? matrix.groups() : (matrix.groups() + 1) / 2;
  expect(!points.data || items(points) == matrix.rows * point_bytes, "zero_points has one value a group");
  expect(!bias.data || items(bias) == matrix.rows, "bias has N values");
  matrix.points = points.data != nullptr;
  if (bias.data) kernel->bias.assign(bias.as<float>(), bias.as<float>() + matrix.rows);

  matrix.data = kernel->pages->take(matrix.bytes());
  if (!matrix.data) throw std::bad_alloc();
  const StoredMatrix stored = {matrix.rows, matrix.columns, matrix.group, matrix.bits, codes.as<uint8_t>(), scales.as<float>(), points.as<uint8_t>()};
  on_threads(session->threads, matrix.tiles(), [&](size_t first, size_t last) { pack(stored, matrix, first, last); });
  drop_file_pages(codes.data, items(codes));
  return kernel;
}

namespace {

// Work of all threads on one call; lives on the stack of the call.
struct Call {
  const Matrix* kernel;
  const float* values;
  float* out;
  size_t rows, tasks;
  int8_t* codes;
  float* scales;
  int32_t* sums;

  void quantize(size_t first, size_t last) const {
    const PackedMatrix& w = kernel->matrix;
    kernel->session->set->quantize(values + first * w.columns, last - first, w.columns, w.group, rows, codes + first * w.group,
                                   scales + first, sums + first);
  }
  static void quantize_task(void* call, size_t task) {
    const Call& of = *static_cast<Call*>(call);
    of.quantize(of.rows * task / of.tasks, of.rows * (task + 1) / of.tasks);
  }
  static void multiply_task(void* call, size_t task) {
    const Call& of = *static_cast<Call*>(call);
    const PackedMatrix& w = of.kernel->matrix;
    const Activations a = {of.codes, of.scales, of.sums, w.groups(), w.group, of.rows};
    const std::vector<float>& bias = of.kernel->bias;
    of.kernel->session->set->multiply(w, a, of.rows, w.tiles() * task / of.tasks, w.tiles() * (task + 1) / of.tasks,
                                      bias.empty() ? nullptr : bias.data(), of.out);
  }
};

}  // namespace

void Matrix::run(ort::Context* context) const {
  ort::Api* api = session->api;
  const Expectations expect{api, NAME};
  const PackedMatrix& w = matrix;
  const ort::Value* value;
  check(ort::GetInput::call(api, context, A, &value));
  Tensor in = read(api, value);
  expect(!in.shape.empty() && in.shape.back() == static_cast<int64_t>(w.columns), "A has K columns");
  const size_t rows = items(in) / w.columns;
  in.shape.back() = static_cast<int64_t>(w.rows);
  ort::Value* out;
  void* to;
  check(ort::GetOutput::call(api, context, 0, in.shape.data(), in.shape.size(), &out));
  check(ort::MutableData::call(api, out, &to));
  if (rows == 0) return;

  const size_t groups = rows * w.groups(), code_bytes = (rows * w.columns + 63) / 64 * 64;
  uint8_t* memory = scratch(code_bytes + groups * 8);
  Call call = {this, in.as<float>(), static_cast<float*>(to), rows, 1, reinterpret_cast<int8_t*>(memory),
               reinterpret_cast<float*>(memory + code_bytes), reinterpret_cast<int32_t*>(memory + code_bytes + groups * 4)};
  const size_t most = session->threads * TASKS;
  call.tasks = std::min({most, rows, std::max<size_t>(1, rows * w.columns / LEAST_WORK)});
  if (call.tasks == 1) call.quantize(0, rows);
  else check(ort::ParallelFor::call(api, context, Call::quantize_task, call.tasks, 0, &call));
  call.tasks = session->threads == 1 ? 1 : std::min({most, w.tiles(), std::max<size_t>(1, rows * w.columns * w.rows / LEAST_WORK)});
  if (call.tasks == 1) Call::multiply_task(&call, 0);
  else check(ort::ParallelFor::call(api, context, Call::multiply_task, call.tasks, 0, &call));
}

SessionOp matrix_op(std::shared_ptr<Session> session) { return Op<Matrix>::of(std::move(session)); }

}  // namespace thinkport
