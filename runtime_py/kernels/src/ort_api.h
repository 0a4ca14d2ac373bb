// The few parts of ONNX Runtime's C API that this library uses, so that it builds without ONNX Runtime's headers.
//
// OrtApi is a table of functions that only ever grows at its end, and OrtCustomOp a struct that does (the API's own
// promise, onnxruntime_c_api.h). A function is therefore named by its place. The places are those of ORT_VERSION,
// which is asked for at load: an older ONNX Runtime answers with no table, and the library refuses to register.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef _WIN32
#define ORT_CALL __stdcall
#define EXPORTED extern "C" __declspec(dllexport)
#else
#define ORT_CALL
#define EXPORTED extern "C" __attribute__((visibility("default")))
#endif

namespace ort {

constexpr uint32_t VERSION = 20;  // the oldest ONNX Runtime is 1.20; ParallelFor is there since 1.17

struct Status;
struct Value;
struct ShapeInfo;
struct KernelInfo;
struct Context;
struct Domain;
struct SessionOptions;

using Api = void* const;  // the table's first entry
struct ApiBase {
  Api*(ORT_CALL* get_api)(uint32_t version);
  const char*(ORT_CALL* get_version)();
};

enum Error { INVALID_ARGUMENT = 2, RUNTIME_EXCEPTION = 6, NOT_IMPLEMENTED = 9 };
enum Element { UNDEFINED = 0, FLOAT = 1, UINT8 = 2, INT8 = 3, INT32 = 6, INT64 = 7 };
enum Presence { REQUIRED = 0, OPTIONAL = 1 };

// A function's place in the table, and its type.
template <size_t PLACE, class Type>
struct Function {
  template <class... Arguments>
  static auto call(Api* api, Arguments... arguments) {
    return reinterpret_cast<Type>(api[PLACE])(arguments...);
  }
};

using CreateStatus = Function<0, Status*(ORT_CALL*)(int, const char*)>;
using CreateDomain = Function<26, Status*(ORT_CALL*)(const char*, Domain**)>;
using AddToDomain = Function<27, Status*(ORT_CALL*)(Domain*, const struct CustomOp*)>;
using AddDomain = Function<28, Status*(ORT_CALL*)(SessionOptions*, Domain*)>;
using MutableData = Function<51, Status*(ORT_CALL*)(Value*, void**)>;
using ElementType = Function<60, Status*(ORT_CALL*)(const ShapeInfo*, int*)>;
using DimensionCount = Function<61, Status*(ORT_CALL*)(const ShapeInfo*, size_t*)>;
using Dimensions = Function<62, Status*(ORT_CALL*)(const ShapeInfo*, int64_t*, size_t)>;
using GetShape = Function<65, Status*(ORT_CALL*)(const Value*, ShapeInfo**)>;
using FloatAttribute = Function<85, Status*(ORT_CALL*)(const KernelInfo*, const char*, float*)>;
using IntAttribute = Function<86, Status*(ORT_CALL*)(const KernelInfo*, const char*, int64_t*)>;
using GetInput = Function<90, Status*(ORT_CALL*)(const Context*, size_t, const Value**)>;
using GetOutput = Function<91, Status*(ORT_CALL*)(Context*, size_t, const int64_t*, size_t, Value**)>;
using ReleaseStatus = Function<93, void(ORT_CALL*)(Status*)>;
using ReleaseShape = Function<99, void(ORT_CALL*)(ShapeInfo*)>;
using HasConfig = Function<237, Status*(ORT_CALL*)(const SessionOptions*, const char*, int*)>;
using GetConfig = Function<238, Status*(ORT_CALL*)(const SessionOptions*, const char*, char*, size_t*)>;
using ConstantInput = Function<249, Status*(ORT_CALL*)(const KernelInfo*, size_t, int*, const Value**)>;
using ParallelFor = Function<274, Status*(ORT_CALL*)(const Context*, void (*)(void*, size_t), size_t, size_t, void*)>;

// OrtCustomOp as of VERSION. A null member is a callback that ONNX Runtime does without.
struct CustomOp {
  uint32_t version;
  void*(ORT_CALL* create_kernel)(const CustomOp*, Api*, const KernelInfo*);
  const char*(ORT_CALL* name)(const CustomOp*);
  const char*(ORT_CALL* provider)(const CustomOp*);
  int(ORT_CALL* input_type)(const CustomOp*, size_t);
  size_t(ORT_CALL* input_count)(const CustomOp*);
  int(ORT_CALL* output_type)(const CustomOp*, size_t);
  size_t(ORT_CALL* output_count)(const CustomOp*);
  void(ORT_CALL* compute)(void*, Context*);
  void(ORT_CALL* destroy)(void*);
  int(ORT_CALL* input_presence)(const CustomOp*, size_t);
  int(ORT_CALL* output_presence)(const CustomOp*, size_t);
  int(ORT_CALL* input_memory)(const CustomOp*, size_t);
  int(ORT_CALL* least_variadic_inputs)(const CustomOp*);
  int(ORT_CALL* alike_variadic_inputs)(const CustomOp*);
  int(ORT_CALL* least_variadic_outputs)(const CustomOp*);
  int(ORT_CALL* alike_variadic_outputs)(const CustomOp*);
  Status*(ORT_CALL* create_kernel_2)(const CustomOp*, Api*, const KernelInfo*, void**);
  Status*(ORT_CALL* compute_2)(void*, Context*);
  Status*(ORT_CALL* infer_shape)(const CustomOp*, void*);
  int(ORT_CALL* start_version)(const CustomOp*);
  int(ORT_CALL* end_version)(const CustomOp*);
  size_t(ORT_CALL* may_inplace)(int**, int**);
  void(ORT_CALL* release_may_inplace)(int*, int*);
  size_t(ORT_CALL* aliases)(int**, int**);
  void(ORT_CALL* release_aliases)(int*, int*);
};

}  // namespace ort
