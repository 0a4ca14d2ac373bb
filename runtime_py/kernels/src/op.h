// What a custom operator is to ONNX Runtime, made of a class that says what it takes and does:
//   NAME, INPUTS, OUTPUTS    its name, and the type and presence of what it takes and gives
//   make(session, info)      a kernel for one node; throws
//   run(context)             one call; throws
#pragma once

#include <memory>
#include <mutex>

#include "calls.h"
#include "kernel_set.h"
#include "pages.h"

namespace thinkport {

// What all kernels of a session share.
struct Session {
  ort::Api* api;
  const KernelSet* set;
  size_t threads;
  std::weak_ptr<Pages> held = {};

  // The kernels' memory, which goes with the last kernel: what is registered outlives the session.
  std::shared_ptr<Pages> pages() {
    static std::mutex making;
    const std::lock_guard<std::mutex> alone(making);
    std::shared_ptr<Pages> found = held.lock();
    if (!found) held = found = std::make_shared<Pages>();
    return found;
  }
};

struct SessionOp : ort::CustomOp {
  std::shared_ptr<Session> session;
};

struct Argument {
  int type;
  int presence = ort::REQUIRED;
};

template <class Kernel>
struct Op {
  static const char* ORT_CALL name(const ort::CustomOp*) { return Kernel::NAME; }
  static const char* ORT_CALL provider(const ort::CustomOp*) { return nullptr; }  // the CPU's
  static int ORT_CALL input_type(const ort::CustomOp*, size_t input) { return Kernel::INPUTS[input].type; }
  static int ORT_CALL input_presence(const ort::CustomOp*, size_t input) { return Kernel::INPUTS[input].presence; }
  static size_t ORT_CALL input_count(const ort::CustomOp*) { return sizeof Kernel::INPUTS / sizeof *Kernel::INPUTS; }
  static int ORT_CALL output_type(const ort::CustomOp*, size_t output) { return Kernel::OUTPUTS[output].type; }
  static int ORT_CALL output_presence(const ort::CustomOp*, size_t output) { return Kernel::OUTPUTS[output].presence; }
  static size_t ORT_CALL output_count(const ort::CustomOp*) { return sizeof Kernel::OUTPUTS / sizeof *Kernel::OUTPUTS; }
  static int ORT_CALL default_memory(const ort::CustomOp*, size_t) { return 0; }
  static int ORT_CALL one(const ort::CustomOp*) { return 1; }
  static void ORT_CALL destroy(void* kernel) { delete static_cast<Kernel*>(kernel); }

  static ort::Status* ORT_CALL create(const ort::CustomOp* op, ort::Api* api, const ort::KernelInfo* info, void** kernel) {
    return guarded(api, [&] { *kernel = Kernel::make(static_cast<const SessionOp*>(op)->session, info).release(); });
  }
  static ort::Status* ORT_CALL compute(void* kernel, ort::Context* context) {
    Kernel& of = *static_cast<Kernel*>(kernel);
    return guarded(of.session->api, [&] { of.run(context); });
  }

  static SessionOp of(std::shared_ptr<Session> session) {
    SessionOp op{};
    op.version = ort::VERSION;
    op.name = name, op.provider = provider;
    op.input_type = input_type, op.input_count = input_count, op.input_presence = input_presence, op.input_memory = default_memory;
    op.output_type = output_type, op.output_count = output_count, op.output_presence = output_presence;
    op.destroy = destroy, op.create_kernel_2 = create, op.compute_2 = compute;
    op.start_version = one, op.end_version = one;
    op.session = std::move(session);
    return op;
  }
};

// Memory of the calling thread, which grows and stays; at a multiple of 64.
uint8_t* scratch(size_t bytes);

}  // namespace thinkport
