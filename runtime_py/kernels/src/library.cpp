// What ONNX Runtime calls: registers the operators for one session.
//
// Session options' config entries, read here since a kernel can't see them later:
//   thinkport.threads   how many threads the session has; 1 where nothing is said
//   thinkport.kernels   a kernel set's name; "auto", the best that runs here, where nothing is said
#include <cstdlib>
#include <list>

#include "attention_op.h"
#include "calls.h"
#include "matrix_op.h"
#include "mixture_op.h"
#include "self_test.h"

namespace thinkport {

uint8_t* scratch(size_t bytes) {
  thread_local std::vector<uint8_t> memory;
  if (memory.size() < bytes + 64) memory.resize(bytes + 64);
  return memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
}

namespace {

std::string config(ort::Api* api, const ort::SessionOptions* options, const char* key, const char* otherwise) {
  int there = 0;
  check(ort::HasConfig::call(api, options, key, &there));
  if (!there) return otherwise;
  char value[64] = {};
  size_t size = sizeof value;
  check(ort::GetConfig::call(api, options, key, value, &size));
  return value;
}

// What ONNX Runtime refers to until the session ends. Nothing tells when that is; a registration without its kernels
// takes some hundred bytes.
struct Registration {
  std::shared_ptr<Session> session;
  SessionOp matrix, attention, mixture;
};

std::mutex registering;
std::list<Registration>& registrations() {
  static auto* all = new std::list<Registration>();  // never destroyed: sessions may outlive this library's statics
  return *all;
}

void add_operators(ort::Api* api, ort::SessionOptions* options) {
  const std::string name = config(api, options, "thinkport.kernels", "auto");
  const KernelSet* set = find_set(name.c_str());
  if (!set) fail(api, "thinkport.kernels: no kernel set " + name + " runs on this CPU");
  const long threads = std::atol(config(api, options, "thinkport.threads", "1").c_str());
  auto session = std::make_shared<Session>(Session{api, set, static_cast<size_t>(threads < 1 ? 1 : threads)});
  const std::lock_guard<std::mutex> alone(registering);
  Registration& kept = registrations().emplace_back(Registration{session, matrix_op(session), attention_op(session), mixture_op(session)});
  ort::Domain* domain;
  check(ort::CreateDomain::call(api, "thinkport", &domain));
  check(ort::AddToDomain::call(api, domain, &kept.matrix));
  check(ort::AddToDomain::call(api, domain, &kept.attention));
  check(ort::AddToDomain::call(api, domain, &kept.mixture));
  check(ort::AddDomain::call(api, options, domain));
}

}  // namespace
}  // namespace thinkport

EXPORTED ort::Status* ORT_CALL RegisterCustomOps(ort::SessionOptions* options, const ort::ApiBase* base) {
  ort::Api* api = base->get_api(ort::VERSION);
  if (!api) {
    ort::Api* oldest = base->get_api(1);
    return ort::CreateStatus::call(oldest, ort::NOT_IMPLEMENTED, "thinkport-kernels needs ONNX Runtime 1.20 or newer");
  }
  return thinkport::guarded(api, [&] { thinkport::add_operators(api, options); });
}

// The n-th kernel set that runs here, best first, or null: for reports and tests.
EXPORTED const char* thinkport_kernel_set(size_t n) {
  size_t count;
  const thinkport::KernelSet* const* sets = thinkport::kernel_sets(&count);
  for (size_t i = 0; i < count; ++i)
    if (sets[i]->runs_here() && n-- == 0) return sets[i]->name;
  return nullptr;
}

// Whether a kernel set runs here and computes as the scalar one does; -1 where the CPU or the system doesn't let it run.
EXPORTED int thinkport_kernel_agrees(const char* name) {
  const thinkport::KernelSet* set = thinkport::find_set(name);
  return set ? thinkport::agrees(*set) : -1;
}
