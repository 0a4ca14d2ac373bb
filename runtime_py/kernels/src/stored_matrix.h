// Matrices that are constants of a node: read, checked, and packed when a kernel is made.
#pragma once

#include <cstring>
#include <string>
#include <thread>

#include "op.h"
#include "packing.h"

namespace thinkport {

// Rows and columns, so that sizes of what is made of them don't overflow.
constexpr size_t MOST = size_t{1} << 28;
// Columns of a group, whose dot of 8-bit codes fits in 32 bits (255 * 127 * 2**15 < 2**31).
constexpr size_t LONGEST_GROUP = size_t{1} << 15;

// What an operator's node has to be; a failure names the operator.
struct Expectations {
  ort::Api* api;
  const char* op;

  void operator()(bool holds, const char* what) const {
    if (!holds) fail(api, std::string(op) + ": " + what);
  }
};

inline size_t items(const Tensor& tensor) {
  size_t count = 1;
  for (const int64_t length : tensor.shape) count *= static_cast<size_t>(length);
  return count;
}

// An input that is a constant of the graph; without data where it is none.
inline Tensor constant(const Expectations& expect, const ort::KernelInfo* info, size_t input, int type) {
  int is_constant = 0;
  const ort::Value* value = nullptr;
  check(ort::ConstantInput::call(expect.api, info, input, &is_constant, &value));
  if (!is_constant || !value) return {};
  Tensor found = read(expect.api, value);
  expect(found.type == type, "a constant has another type than it takes");
  return found;
}

// Sizes that kernels can have.
inline void check_sizes(const Expectations& expect, const PackedMatrix& matrix) {
  expect(matrix.bits == 4 || matrix.bits == 8, "bits is 4 or 8");
  expect(matrix.rows - 1 < MOST && matrix.columns - 1 < MOST, "K and N are 1 to 2**28");
  expect(matrix.group - 1 < LONGEST_GROUP && matrix.group % 32 == 0 && matrix.columns % matrix.group == 0,
         "block_size is a multiple of 32 up to 2**15 that divides K");
}

// A task is worth waking a thread from so many multiplications on.
constexpr size_t LEAST_WORK = size_t{1} << 17;
// Tasks a thread: enough that a slow core of a hybrid CPU gets fewer than a fast one.
constexpr size_t TASKS = 4;

// Work on [0, count) in parts, on threads of its own: ONNX Runtime's can't be reached while kernels are made.
template <class Work>
void on_threads(size_t threads, size_t count, Work work) {
  const size_t used = std::max<size_t>(1, std::min(threads, count));
  std::vector<std::thread> others;
  for (size_t t = 1; t < used; ++t) others.emplace_back([=] { work(count * t / used, count * (t + 1) / used); });
  work(0, count / used);
  for (std::thread& other : others) other.join();
}

}  // namespace thinkport
