#include "ops/linear/onednn.h"

#include <fmt/format.h>

#include <dnnl.hpp>
#include <unordered_map>

#include "cajal/error.h"

namespace cajal::ops {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

memory::data_type type_of(DType dtype) {
  return dtype == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

/// Both versions of the library take the same descriptions, in another order.
dnnl::matmul::primitive_desc describe(const dnnl::engine& engine, const memory::desc& a,
                                      const memory::desc& b, const memory::desc& bias,
                                      const memory::desc& c,
                                      const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, a, b, bias, c, attributes};
#else
  return {dnnl::matmul::desc(a, b, bias, c), attributes, engine};
#endif
}

std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

std::string ProductShape::key() const {
  return fmt::format("product {}x{}x{} {}->{} {}{}{}{} {}", m, n, k, name_of(in), name_of(out),
                     a_transposed ? 'a' : '-', b_transposed ? 'b' : '-', add_to_c ? '+' : '-',
                     pack_b ? 'p' : '-', bias ? name_of(*bias) : "none");
}

struct Product::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::matmul product;
  dnnl::reorder pack;  ///< Empty unless b is packed.
  memory a, b, bias, c, packed, workspace;
  std::unordered_map<int, memory> product_arguments;
  std::unordered_map<int, memory> pack_arguments;
  std::size_t packed_bytes = 0;
  std::size_t workspace_bytes = 0;

  explicit State(const ProductShape& shape);
  memory unbound(const memory::desc& desc) const { return {desc, engine, nullptr}; }
};

Product::State::State(const ProductShape& shape) {
  const auto in = type_of(shape.in);
  const memory::desc a_desc({shape.m, shape.k}, in, shape.a_transposed ? Tag::ba : Tag::ab);
  const memory::desc b_desc({shape.k, shape.n}, in, shape.b_transposed ? Tag::ba : Tag::ab);
  const memory::desc c_desc({shape.m, shape.n}, type_of(shape.out), Tag::ab);
  const memory::desc any({shape.k, shape.n}, in, Tag::any);
  const memory::desc bias_desc =
      shape.bias ? memory::desc({1, shape.n}, type_of(*shape.bias), Tag::ab) : memory::desc();

  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (shape.add_to_c) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
  const auto chosen =
      describe(engine, a_desc, shape.pack_b ? any : b_desc, bias_desc, c_desc, attributes);
  product = dnnl::matmul(chosen);

  a = unbound(a_desc);
  b = unbound(b_desc);
  c = unbound(c_desc);
  packed = unbound(chosen.weights_desc());
  workspace = unbound(chosen.scratchpad_desc());
  workspace_bytes = aligned(chosen.scratchpad_desc().get_size());
  const bool packs = chosen.weights_desc() != b_desc;
  if (packs) {
    pack = dnnl::reorder(b, packed);
    pack_arguments = {{DNNL_ARG_FROM, b}, {DNNL_ARG_TO, packed}};
    packed_bytes = aligned(chosen.weights_desc().get_size());
  }
  product_arguments = {{DNNL_ARG_SRC, a},
                       {DNNL_ARG_WEIGHTS, packs ? packed : b},
                       {DNNL_ARG_DST, c},
                       {DNNL_ARG_SCRATCHPAD, workspace}};
  if (shape.bias) {
    bias = unbound(bias_desc);
    product_arguments[DNNL_ARG_BIAS] = bias;
  }
}

Product::Product(const ProductShape& shape) {
  try {
    state_ = std::make_unique<State>(shape);
  } catch (const dnnl::error& failure) {
    throw Error(fmt::format("oneDNN has no {} here: {}", shape.key(), failure.what()),
                shape.in == DType::bf16 ? "use fp32" : "");
  }
}

Product::~Product() = default;
Product::Product(Product&&) noexcept = default;
Product& Product::operator=(Product&&) noexcept = default;

std::size_t Product::scratch_bytes() const {
  return state_->packed_bytes + state_->workspace_bytes;
}

void Product::run(const void* a, const void* b, const void* bias, void* c, std::byte* scratch) {
  const auto bind = [](memory& to, const void* address) {
    to.set_data_handle(const_cast<void*>(address));  // The library has no const handles.
  };
  State& s = *state_;
  bind(s.a, a);
  bind(s.b, b);
  bind(s.c, c);
  if (s.bias) bind(s.bias, bias);
  bind(s.workspace, scratch + s.packed_bytes);
  if (s.pack) {
    bind(s.packed, scratch);
    s.pack.execute(s.stream, s.pack_arguments);
  }
  s.product.execute(s.stream, s.product_arguments);
  s.stream.wait();
}

}  // namespace cajal::ops
