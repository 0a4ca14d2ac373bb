// ONNX Runtime's functions as C++: a failure is an exception, which `guarded` turns into ONNX Runtime's own.
#pragma once

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "ort_api.h"

namespace thinkport {

struct Failure {
  ort::Status* status;
};

[[noreturn]] inline void fail(ort::Api* api, const std::string& text) {
  throw Failure{ort::CreateStatus::call(api, ort::INVALID_ARGUMENT, text.c_str())};
}

inline void check(ort::Status* status) {
  if (status) throw Failure{status};
}

template <class Work>
ort::Status* guarded(ort::Api* api, Work work) noexcept {
  try {
    work();
    return nullptr;
  } catch (const Failure& failure) {
    return failure.status;
  } catch (const std::exception& error) {
    return ort::CreateStatus::call(api, ort::RUNTIME_EXCEPTION, error.what());
  }
}

// A tensor's data and shape.
struct Tensor {
  std::vector<int64_t> shape;
  int type = ort::UNDEFINED;
  void* data = nullptr;

  template <class Item>
  const Item* as() const { return static_cast<const Item*>(data); }
};

inline Tensor read(ort::Api* api, const ort::Value* value) {
  Tensor found;
  ort::ShapeInfo* info;
  check(ort::GetShape::call(api, value, &info));
  size_t count = 0;
  ort::DimensionCount::call(api, info, &count);
  found.shape.resize(count);
  ort::Dimensions::call(api, info, found.shape.data(), count);
  ort::ElementType::call(api, info, &found.type);
  ort::ReleaseShape::call(api, info);
  check(ort::MutableData::call(api, const_cast<ort::Value*>(value), &found.data));
  return found;
}

inline int64_t attribute(ort::Api* api, const ort::KernelInfo* info, const char* name) {
  int64_t value;
  check(ort::IntAttribute::call(api, info, name, &value));
  return value;
}

}  // namespace thinkport
