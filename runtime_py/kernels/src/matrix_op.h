// The operator QuantizedMatMul; see matrix_op.cpp.
#pragma once

#include <memory>

#include "kernel_set.h"
#include "ort_api.h"
#include "pages.h"

namespace thinkport {

// What all kernels of a session share.
struct Session {
  ort::Api* api;
  const KernelSet* set;
  size_t threads;
  std::shared_ptr<Pages> pages = std::make_shared<Pages>();
};

struct SessionOp : ort::CustomOp {
  std::shared_ptr<Session> session;
};

SessionOp matrix_op(std::shared_ptr<Session> session);

}  // namespace thinkport
