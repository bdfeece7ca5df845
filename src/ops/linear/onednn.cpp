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

/// An operand, and where it is copied to another layout before the product reads it.
struct Operand {
  memory given;
  memory used;
  dnnl::reorder copy;  ///< Empty when the product reads what is given.
  std::unordered_map<int, memory> arguments;
  std::size_t copy_bytes = 0;

  Operand() = default;
  Operand(const dnnl::engine& engine, const memory::desc& from, const memory::desc& to)
      : given(from, engine, nullptr), used(given) {
    if (from == to) return;
    used = memory(to, engine, nullptr);
    copy = dnnl::reorder(given, used);
    arguments = {{DNNL_ARG_FROM, given}, {DNNL_ARG_TO, used}};
    copy_bytes = aligned(to.get_size());
  }

  /// Takes copy_bytes from `scratch` and moves it on.
  void prepare(const dnnl::stream& stream, const void* address, std::byte*& scratch) {
    given.set_data_handle(const_cast<void*>(address));  // The library has no const handles.
    if (!copy) return;
    used.set_data_handle(scratch);
    scratch += copy_bytes;
    copy.execute(stream, arguments);
  }
};

dnnl::primitive_attr attributes_of(const ProductShape& shape) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (shape.add_to_c) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
  return attributes;
}

}  // namespace

std::string ProductShape::key() const {
  return fmt::format("product {}x{}x{} {}->{} {}{}{}{}{} {}", m, n, k, name_of(in), name_of(out),
                     a_transposed ? 'a' : '-', b_transposed ? 'b' : '-', add_to_c ? '+' : '-',
                     copy_a ? 'c' : '-', pack_b ? 'p' : '-', bias ? name_of(*bias) : "none");
}

struct Product::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::matmul product;
  Operand a, b;
  memory bias, c, workspace;
  std::unordered_map<int, memory> arguments;
  std::size_t workspace_bytes = 0;

  explicit State(const ProductShape& shape);
};

Product::State::State(const ProductShape& shape) {
  const auto in = type_of(shape.in);
  const memory::dims a_dims{shape.m, shape.k};
  const memory::dims b_dims{shape.k, shape.n};
  const memory::desc a_given(a_dims, in, shape.a_transposed ? Tag::ba : Tag::ab);
  const memory::desc b_given(b_dims, in, shape.b_transposed ? Tag::ba : Tag::ab);
  const memory::desc a_used = shape.copy_a ? memory::desc(a_dims, in, Tag::ab) : a_given;
  const memory::desc b_used = shape.pack_b ? memory::desc(b_dims, in, Tag::any) : b_given;
  const memory::desc bias_desc =
      shape.bias ? memory::desc({1, shape.n}, type_of(*shape.bias), Tag::ab) : memory::desc();
  const memory::desc c_desc({shape.m, shape.n}, type_of(shape.out), Tag::ab);
  const auto chosen = describe(engine, a_used, b_used, bias_desc, c_desc, attributes_of(shape));

  product = dnnl::matmul(chosen);
  a = Operand(engine, a_given, a_used);
  b = Operand(engine, b_given, chosen.weights_desc());
  c = memory(c_desc, engine, nullptr);
  workspace = memory(chosen.scratchpad_desc(), engine, nullptr);
  workspace_bytes = aligned(chosen.scratchpad_desc().get_size());
  arguments = {{DNNL_ARG_SRC, a.used},
               {DNNL_ARG_WEIGHTS, b.used},
               {DNNL_ARG_DST, c},
               {DNNL_ARG_SCRATCHPAD, workspace}};
  if (shape.bias) {
    bias = memory(bias_desc, engine, nullptr);
    arguments[DNNL_ARG_BIAS] = bias;
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
  return state_->a.copy_bytes + state_->b.copy_bytes + state_->workspace_bytes;
}

void Product::run(const void* a, const void* b, const void* bias, void* c, std::byte* scratch) {
  State& s = *state_;
  s.a.prepare(s.stream, a, scratch);
  s.b.prepare(s.stream, b, scratch);
  if (s.bias) s.bias.set_data_handle(const_cast<void*>(bias));
  s.c.set_data_handle(c);
  s.workspace.set_data_handle(scratch);
  s.product.execute(s.stream, s.arguments);
  s.stream.wait();
}

}  // namespace cajal::ops
