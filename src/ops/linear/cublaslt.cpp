#include "ops/linear/cublaslt.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "cajal/error.h"
#include "ops/linear/algorithm_cache.h"

namespace cajal::ops {
namespace {

void check_cublas(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(fmt::format("{}: {}", call, cublasLtGetStatusString(status)));
}

template <class Handle, cublasStatus_t (*destroy)(Handle)>
struct LtDestroy {
  using pointer = Handle;
  void operator()(Handle handle) const { static_cast<void>(destroy(handle)); }
};
template <class Handle, cublasStatus_t (*destroy)(Handle)>
using LtHandle = std::unique_ptr<std::remove_pointer_t<Handle>, LtDestroy<Handle, destroy>>;

using Library = LtHandle<cublasLtHandle_t, cublasLtDestroy>;
using Layout = LtHandle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Operation = LtHandle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Preference = LtHandle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

cudaDataType_t data_type(DType dtype) { return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

cudaDataType_t a_type(const LtProduct& product) {
  return product.fp8 == Fp8Product::none ? data_type(product.in) : CUDA_R_8F_E4M3;
}

cudaDataType_t b_type(const LtProduct& product) {
  return product.fp8 == Fp8Product::gradient ? CUDA_R_8F_E5M2 : a_type(product);
}

cublasLtEpilogue_t library_epilogue(Epilogue epilogue) {
  switch (epilogue) {
    case Epilogue::none:
      return CUBLASLT_EPILOGUE_DEFAULT;
    case Epilogue::bias:
      return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::gelu:
      return CUBLASLT_EPILOGUE_GELU_AUX;
    case Epilogue::gelu_bias:
      return CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
    case Epilogue::gelu_backward:
      return CUBLASLT_EPILOGUE_DGELU;
    case Epilogue::bias_gradient_a:
      return CUBLASLT_EPILOGUE_BGRADA;
    case Epilogue::bias_gradient_b:
      return CUBLASLT_EPILOGUE_BGRADB;
  }
  return CUBLASLT_EPILOGUE_DEFAULT;
}

/// The largest power of two up to 256 that divides the address.
std::uint32_t alignment_of(const void* address) {
  constexpr std::uintptr_t kMost = 256;
  const auto bits = reinterpret_cast<std::uintptr_t>(address) | kMost;
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

Layout make_layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns) {
  cublasLtMatrixLayout_t layout = nullptr;
  check_cublas(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(rows),
                                          static_cast<std::uint64_t>(columns), rows),
               "cublasLtMatrixLayoutCreate");
  return Layout(layout);
}

/// A product in the library's words.
class Described {
 public:
  explicit Described(const LtProduct& product)
      : product_(product),
        a_(product.a_transposed ? make_layout(a_type(product), product.k, product.m)
                                : make_layout(a_type(product), product.m, product.k)),
        b_(product.b_transposed ? make_layout(b_type(product), product.n, product.k)
                                : make_layout(b_type(product), product.k, product.n)),
        d_(make_layout(data_type(product.out), product.m, product.n)) {
    cublasLtMatmulDesc_t operation = nullptr;
    check_cublas(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                 "cublasLtMatmulDescCreate");
    operation_.reset(operation);
    set(CUBLASLT_MATMUL_DESC_TRANSA, product.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, product.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, library_epilogue(product.epilogue));
    if (product.bias != nullptr) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, product.bias);
    if (product.a_scale != nullptr) set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, product.a_scale);
    if (product.b_scale != nullptr) set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, product.b_scale);
    if (product.aux != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, product.aux);
      set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, product.m);
    }
  }

  /// The heuristics' best, best first; none where the library has no kernel.
  std::vector<cublasLtMatmulAlgo_t> algorithms(cublasLtHandle_t library, int count) const {
    // Asked for many it may refuse a tiny product for which it has a few.
    for (; count > 0; count /= 2) {
      auto found = ask_heuristics(library, count);
      if (!found.empty()) return found;
    }
    return {};
  }

  bool run(cublasLtHandle_t library, const cublasLtMatmulAlgo_t& algorithm, std::byte* workspace,
           cudaStream_t stream) const {
    const float alpha = 1.0F;
    const float beta = product_.beta_one ? 1.0F : 0.0F;
    return cublasLtMatmul(library, operation_.get(), &alpha, product_.a, a_.get(), product_.b,
                          b_.get(), &beta, product_.d, d_.get(), product_.d, d_.get(), &algorithm,
                          workspace, kLtWorkspace, stream) == CUBLAS_STATUS_SUCCESS;
  }

 private:
  std::vector<cublasLtMatmulAlgo_t> ask_heuristics(cublasLtHandle_t library, int count) const {
    cublasLtMatmulPreference_t raw = nullptr;
    check_cublas(cublasLtMatmulPreferenceCreate(&raw), "cublasLtMatmulPreferenceCreate");
    const Preference preference(raw);
    prefer(raw, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{kLtWorkspace});
    prefer(raw, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(product_.a));
    prefer(raw, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(product_.b));
    prefer(raw, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(product_.d));
    prefer(raw, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(product_.d));
    std::vector<cublasLtMatmulHeuristicResult_t> results(static_cast<std::size_t>(count));
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(library, operation_.get(), a_.get(), b_.get(), d_.get(),
                                       d_.get(), raw, count, results.data(), &found);
    std::vector<cublasLtMatmulAlgo_t> algorithms;
    if (status != CUBLAS_STATUS_SUCCESS) return algorithms;
    results.resize(static_cast<std::size_t>(found));
    for (const auto& result : results) {
      if (result.state == CUBLAS_STATUS_SUCCESS) algorithms.push_back(result.algo);
    }
    return algorithms;
  }
  template <class Value>
  void set(cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    check_cublas(cublasLtMatmulDescSetAttribute(operation_.get(), attribute, &value, sizeof(value)),
                 "cublasLtMatmulDescSetAttribute");
  }
  template <class Value>
  static void prefer(cublasLtMatmulPreference_t preference,
                     cublasLtMatmulPreferenceAttributes_t attribute, const Value& value) {
    check_cublas(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)),
                 "cublasLtMatmulPreferenceSetAttribute");
  }

  LtProduct product_;
  Layout a_, b_, d_;
  Operation operation_;
};

Library make_library() {
  cublasLtHandle_t library = nullptr;
  check_cublas(cublasLtCreate(&library), "cublasLtCreate");
  return Library(library);
}

/// What a queue keeps for its products.
struct LtState {
  explicit LtState(const CudaProperties& device)
      : library(make_library()),
        cache(AlgorithmCache::default_folder(),
              fmt::format("{} cublaslt {}", device.name, cublasLtGetVersion())) {}
  Library library;
  AlgorithmCache cache;
};

struct Chosen {
  const ProductVariant* variant = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
};

/// The operation, whatever the variant: all of them compute the same. Another operation may share
/// the first product, so the variants' names count.
std::string operation_key(const std::vector<ProductVariant>& variants) {
  std::string key = variants.front().product.key();
  for (const ProductVariant& variant : variants) key += fmt::format(", {}", variant.name);
  return key;
}

bool launch(CudaContext& context, LtState& state, const Chosen& chosen) {
  std::byte* const workspace = context.scratch(kLtWorkspace).data();
  const Described described(chosen.variant->product);
  if (!described.run(state.library.get(), chosen.algorithm, workspace, context.stream())) {
    return false;
  }
  if (chosen.variant->after) chosen.variant->after();
  return true;
}

std::optional<Chosen> recall(const LtState& state, const std::vector<ProductVariant>& variants) {
  const auto choice = state.cache.find(operation_key(variants));
  if (!choice || choice->algorithm.size() != sizeof(cublasLtMatmulAlgo_t)) return std::nullopt;
  const auto variant = std::find_if(variants.begin(), variants.end(),
                                    [&](const auto& v) { return v.name == choice->variant; });
  if (variant == variants.end()) return std::nullopt;
  Chosen chosen{&*variant, {}};
  std::memcpy(&chosen.algorithm, choice->algorithm.data(), sizeof(chosen.algorithm));
  return chosen;
}

void remember(LtState& state, const std::vector<ProductVariant>& variants, const Chosen& chosen) {
  ProductChoice choice{chosen.variant->name, {}};
  choice.algorithm.resize(sizeof(chosen.algorithm));
  std::memcpy(choice.algorithm.data(), &chosen.algorithm, sizeof(chosen.algorithm));
  state.cache.add(operation_key(variants), std::move(choice));
}

/// Times every algorithm of every variant.
Chosen measure_all(CudaContext& context, LtState& state,
                   const std::vector<ProductVariant>& variants) {
  constexpr int kAlgorithms = 16;
  Chosen best;
  double best_time = std::numeric_limits<double>::max();
  for (const ProductVariant& variant : variants) {
    const Described described(variant.product);
    for (const auto& algorithm : described.algorithms(state.library.get(), kAlgorithms)) {
      const Chosen candidate{&variant, algorithm};
      if (!launch(context, state, candidate)) continue;
      const auto time = context.measure([&] {
        if (!launch(context, state, candidate)) throw Error("cuBLASLt: the algorithm cannot run");
      });
      if (!time || *time >= best_time) continue;
      best_time = *time;
      best = candidate;
    }
  }
  return best;
}

/// The heuristics' candidates in their order, until one runs.
bool launch_any(CudaContext& context, LtState& state, const std::vector<ProductVariant>& variants) {
  constexpr int kAlgorithms = 8;
  for (const ProductVariant& variant : variants) {
    const Described described(variant.product);
    for (const auto& algorithm : described.algorithms(state.library.get(), kAlgorithms)) {
      if (launch(context, state, {&variant, algorithm})) return true;
    }
  }
  return false;
}

}  // namespace

std::string LtProduct::key() const {
  return fmt::format("{}x{}x{} {}{} {} {} fp8 {} epilogue {} align {} {} {} {} {}", m, n, k,
                     a_transposed ? 't' : 'n', b_transposed ? 't' : 'n', name_of(in), name_of(out),
                     static_cast<int>(fp8), static_cast<int>(epilogue), alignment_of(a),
                     alignment_of(b), alignment_of(d), alignment_of(bias), alignment_of(aux));
}

void run_best(CudaContext& context, const std::vector<ProductVariant>& variants) {
  auto& state = context.cached<LtState>("cublaslt", [&] { return LtState(context.device()); });
  std::optional<Chosen> chosen = recall(state, variants);
  // What accumulates cannot be timed. The same product without has been, in every training step.
  const bool can_be_timed = !variants.front().product.beta_one && !context.capturing();
  if (!chosen && can_be_timed) {
    const Chosen best = measure_all(context, state, variants);
    if (best.variant != nullptr) remember(state, variants, best);
    chosen = recall(state, variants);  // Another process may have been quicker to find one.
  }
  if (chosen && launch(context, state, *chosen)) return;
  if (!launch_any(context, state, variants)) {
    throw Error(fmt::format("cuBLASLt has no kernel for the product {}", operation_key(variants)));
  }
}

}  // namespace cajal::ops
