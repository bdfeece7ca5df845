#include "ops/attention/cudnn.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <vector>

// The front end takes cuDNN's functions from a library that is loaded while the program runs.
#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

#include "cajal/error.h"
#include "ops/attention/cuda_implementations.h"
#include "ops/attention/cuda_rows.h"

namespace cudnn_frontend {
// The front end declares it and leaves it to programs to define and to set.
void* cudnn_dlhandle = nullptr;
}  // namespace cudnn_frontend

namespace cajal::ops::cuda_attention {
namespace {

namespace fe = cudnn_frontend;
using fe::graph::Tensor_attributes;
using TensorPointer = std::shared_ptr<Tensor_attributes>;

/// Deterministic gradients take a matrix of the probabilities of all sequences that are worked on
/// at once, 24 MiB a sequence for GPT-2 124M: 0.75 GiB at batch 32. With no more than this at once
/// such a step takes half a percent longer, with a quarter of it 4 %.
constexpr std::int64_t kMostMatrixBytes = std::int64_t{512} << 20;

/// More for a single sequence is too much: it is our own kernels' turn.
constexpr std::size_t kMostWorkspace = std::size_t{4} << 30;

/// Empty when the library is there.
const std::string& load_failure() {
  static const std::string failure = []() -> std::string {
    fe::cudnn_dlhandle = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    if (fe::cudnn_dlhandle != nullptr) return {};
    const char* const reason = dlerror();
    return reason == nullptr ? "libcudnn.so.9 cannot be loaded" : reason;
  }();
  return failure;
}

std::int64_t uid(CudnnTensor tensor) { return static_cast<std::int64_t>(tensor) + 1; }

/// The tensors of one graph.
class GraphMaker {
 public:
  explicit GraphMaker(const CudnnShape& shape)
      : shape_(shape), graph_(std::make_shared<fe::graph::Graph>()) {
    graph_->set_io_data_type(fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
  }

  std::shared_ptr<fe::graph::Graph> make() {
    if (shape_.pass == CudnnPass::forward) {
      make_forward();
    } else {
      make_backward();
    }
    return graph_;
  }

 private:
  using Sizes4 = std::vector<std::int64_t>;

  Sizes4 head_sizes() const { return {shape_.batch, shape_.heads, shape_.tokens, shape_.width}; }
  Sizes4 lse_sizes() const { return {shape_.batch, shape_.heads, shape_.tokens, 1}; }
  Sizes4 lse_strides() const { return {shape_.heads * shape_.tokens, shape_.tokens, 1, 1}; }

  /// Of a tensor [batch, tokens, parts * heads * width].
  Sizes4 head_strides(std::int64_t parts) const {
    const std::int64_t row = parts * shape_.heads * shape_.width;
    return {shape_.tokens * row, shape_.width, row, 1};
  }

  TensorPointer input(CudnnTensor tensor, const char* name, std::int64_t parts) {
    return graph_->tensor(Tensor_attributes()
                              .set_name(name)
                              .set_uid(uid(tensor))
                              .set_dim(head_sizes())
                              .set_stride(head_strides(parts)));
  }

  void set_output(const TensorPointer& to, CudnnTensor tensor, std::int64_t parts) const {
    to->set_output(true).set_uid(uid(tensor)).set_dim(head_sizes()).set_stride(head_strides(parts));
  }

  float scale() const { return 1.0F / std::sqrt(static_cast<float>(shape_.width)); }

  void make_forward() {
    const auto q = input(CudnnTensor::q, "q", 3);
    const auto k = input(CudnnTensor::k, "k", 3);
    const auto v = input(CudnnTensor::v, "v", 3);
    auto options = fe::graph::SDPA_attributes();
    options.set_name("attention")
        .set_generate_stats(true)
        .set_attn_scale(scale())
        .set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
        .set_diagonal_band_right_bound(0);
    const auto [out, lse] = graph_->sdpa(q, k, v, options);
    set_output(out, CudnnTensor::out, 1);
    lse->set_output(true)
        .set_uid(uid(CudnnTensor::lse))
        .set_data_type(fe::DataType_t::FLOAT)
        .set_dim(lse_sizes())
        .set_stride(lse_strides());
  }

  void make_backward() {
    const auto q = input(CudnnTensor::q, "q", 3);
    const auto k = input(CudnnTensor::k, "k", 3);
    const auto v = input(CudnnTensor::v, "v", 3);
    const auto out = input(CudnnTensor::out, "out", 1);
    const auto dout = input(CudnnTensor::dout, "dout", 1);
    const auto lse = graph_->tensor(Tensor_attributes()
                                        .set_name("lse")
                                        .set_uid(uid(CudnnTensor::lse))
                                        .set_data_type(fe::DataType_t::FLOAT)
                                        .set_dim(lse_sizes())
                                        .set_stride(lse_strides()));
    auto options = fe::graph::SDPA_backward_attributes();
    options.set_name("attention_backward")
        .set_attn_scale(scale())
        .set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
        .set_diagonal_band_right_bound(0)
        .set_deterministic_algorithm(true);
    const auto [dq, dk, dv] = graph_->sdpa_backward(q, k, v, out, dout, lse, options);
    set_output(dq, CudnnTensor::dq, 3);
    set_output(dk, CudnnTensor::dk, 3);
    set_output(dv, CudnnTensor::dv, 3);
  }

  CudnnShape shape_;
  std::shared_ptr<fe::graph::Graph> graph_;
};

}  // namespace

CudnnLibrary::CudnnLibrary() : refusal_(load_failure()) {
  if (!refusal_.empty()) return;
  cudnnHandle_t handle = nullptr;
  try {
    const auto status = fe::detail::create_handle(&handle);
    if (status != CUDNN_STATUS_SUCCESS) {
      refusal_ = fmt::format("cudnnCreate: {}", fe::detail::get_error_string(status));
      return;
    }
  } catch (const std::exception& error) {
    refusal_ = error.what();
    return;
  }
  handle_ = {handle, [](void* old) {
               static_cast<void>(fe::detail::destroy_handle(static_cast<cudnnHandle_t>(old)));
             }};
}

CudnnAttention::CudnnAttention(const CudnnLibrary& library, const CudnnShape& shape)
    : library_(library), refusal_(library.refusal()) {
  if (!refusal_.empty()) return;
  // The front end throws where it cannot load what it needs.
  try {
    graph_ = GraphMaker(shape).make();
    build();
  } catch (const std::exception& error) {
    refusal_ = error.what();
  }
}

void CudnnAttention::build() {
  auto* const handle = static_cast<cudnnHandle_t>(library_.handle());
  const auto good = [this](fe::error_t status) {
    if (status.is_bad()) refusal_ = status.get_message();
    return status.is_good();
  };
  std::int64_t bytes = 0;
  const bool built = good(graph_->validate()) && good(graph_->build_operation_graph(handle)) &&
                     good(graph_->create_execution_plans({fe::HeurMode_t::A})) &&
                     good(graph_->check_support()) &&
                     good(graph_->build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE)) &&
                     good(graph_->get_workspace_size(bytes));
  if (!built) {
    if (refusal_.empty()) refusal_ = "cuDNN refuses without a reason";
    return;
  }
  workspace_ = static_cast<std::size_t>(bytes);
  if (workspace_ > kMostWorkspace) refusal_ = fmt::format("needs a workspace of {} bytes", bytes);
}

void CudnnAttention::execute(CudaContext& context, const CudnnAddresses& addresses) {
  auto* const handle = static_cast<cudnnHandle_t>(library_.handle());
  std::unordered_map<std::int64_t, void*> tensors;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    if (addresses[i] != nullptr) tensors[uid(static_cast<CudnnTensor>(i))] = addresses[i];
  }
  void* const workspace = workspace_ == 0 ? nullptr : context.scratch(workspace_).data();
  if (fe::detail::set_stream(handle, context.stream()) != CUDNN_STATUS_SUCCESS) {
    throw Error("cudnnSetStream failed");
  }
  auto status = graph_->execute(handle, tensors, workspace);
  if (status.is_bad()) throw Error(fmt::format("cuDNN attention: {}", status.get_message()));
}

namespace {

/// The plan for a shape, built at its first use; null, with a reason, where there is none.
CudnnAttention* plan_for(CudaContext& context, const CudnnShape& shape, std::string* reason) {
  const auto& library =
      context.cached<CudnnLibrary>("cudnn attention", [] { return CudnnLibrary(); });
  const std::string key = fmt::format("cudnn attention {} {} {} {} {}",
                                      shape.pass == CudnnPass::forward ? "forward" : "backward",
                                      shape.batch, shape.tokens, shape.heads, shape.width);
  auto& plan = context.cached<CudnnAttention>(key, [&] { return CudnnAttention(library, shape); });
  if (plan.refusal().empty()) return &plan;
  if (reason != nullptr) *reason = plan.refusal();
  return nullptr;
}

CudnnShape shape_of(CudnnPass pass, const Tensor& qkv, int heads) {
  return {pass, qkv.dim(0), qkv.dim(1), heads, qkv.dim(2) / 3 / heads};
}

bool takes(const Tensor& qkv, int heads, const AttentionDropout& dropout,
           std::initializer_list<Tensor> tensors, std::string* reason) {
  const Sizes sizes = sizes_of(qkv, heads);
  const bool good = qkv.dtype == DType::bf16 && dropout.probability == 0.0F &&
                    sizes.width <= kWidestCudnn && in_vectors<__nv_bfloat16>(sizes, tensors);
  if (!good && reason != nullptr) {
    *reason = "needs bf16, no dropout, a width that is a multiple of 8 up to 128, aligned tensors";
  }
  return good;
}

void set_parts(CudnnAddresses& addresses, CudnnTensor first, const Tensor& packed) {
  for (int part = 0; part < 3; ++part) {
    addresses[static_cast<std::size_t>(first) + static_cast<std::size_t>(part)] =
        part_of<bfloat16>(packed, part).data;
  }
}

void*& address_of(CudnnAddresses& addresses, CudnnTensor tensor) {
  return addresses[static_cast<std::size_t>(tensor)];
}

/// Of the gradient: in parts of about the same size.
std::int64_t sequences_at_once(const CudnnShape& shape) {
  constexpr std::int64_t kElement = sizeof(bfloat16);
  const std::int64_t of_one = shape.heads * shape.tokens * shape.tokens * kElement;
  const std::int64_t most = std::max<std::int64_t>(1, kMostMatrixBytes / of_one);
  const std::int64_t parts = std::max<std::int64_t>(1, (shape.batch + most - 1) / most);
  return (shape.batch + parts - 1) / parts;
}

/// To the sequences after those of `shape`.
void advance(CudnnAddresses& addresses, const CudnnShape& shape) {
  const std::int64_t rows = shape.batch * shape.tokens;
  const std::int64_t row = shape.heads * shape.width * static_cast<std::int64_t>(sizeof(bfloat16));
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const auto tensor = static_cast<CudnnTensor>(i);
    const bool packed = tensor != CudnnTensor::out && tensor != CudnnTensor::dout;
    const std::int64_t bytes = tensor == CudnnTensor::lse
                                   ? rows * shape.heads * static_cast<std::int64_t>(sizeof(float))
                                   : rows * row * (packed ? 3 : 1);
    addresses[i] = static_cast<std::byte*>(addresses[i]) + bytes;
  }
}

}  // namespace

std::string cudnn_absence() { return load_failure(); }

bool run_cudnn(CudaContext& context, const AttentionArgs& args, std::string* reason) {
  if (!takes(args.qkv, args.heads, args.dropout, {args.qkv, args.out}, reason)) return false;
  auto* const plan = plan_for(context, shape_of(CudnnPass::forward, args.qkv, args.heads), reason);
  if (plan == nullptr) return false;
  CudnnAddresses addresses{};
  set_parts(addresses, CudnnTensor::q, args.qkv);
  address_of(addresses, CudnnTensor::out) = args.out.data<std::byte>();
  address_of(addresses, CudnnTensor::lse) = args.lse.data<std::byte>();
  plan->execute(context, addresses);
  return true;
}

bool run_cudnn(CudaContext& context, const AttentionBackwardArgs& args, std::string* reason) {
  if (!takes(args.qkv, args.heads, args.dropout, {args.qkv, args.out, args.dout, args.dqkv},
             reason)) {
    return false;
  }
  CudnnAddresses addresses{};
  set_parts(addresses, CudnnTensor::q, args.qkv);
  set_parts(addresses, CudnnTensor::dq, args.dqkv);
  address_of(addresses, CudnnTensor::out) = args.out.data<std::byte>();
  address_of(addresses, CudnnTensor::dout) = args.dout.data<std::byte>();
  address_of(addresses, CudnnTensor::lse) = args.lse.data<std::byte>();
  const CudnnShape whole = shape_of(CudnnPass::backward, args.qkv, args.heads);
  const std::int64_t at_once = sequences_at_once(whole);
  CudnnShape some = whole;
  for (std::int64_t first = 0; first < whole.batch; first += some.batch) {
    some.batch = std::min(at_once, whole.batch - first);
    auto* const plan = plan_for(context, some, reason);
    if (plan == nullptr) return false;
    plan->execute(context, addresses);
    advance(addresses, some);
  }
  return true;
}

}  // namespace cajal::ops::cuda_attention
