#include <fmt/format.h>

#include "ops/cases.h"
#include "ops/embedding/embedding.h"

namespace cajal::testing {
namespace {

struct EmbeddingCase {
  std::int64_t batch = 1;
  std::int64_t length = 1;
  std::int64_t vocab = 1;
  std::int64_t positions = 1;
  std::int64_t width = 1;
  DType table = DType::f32;
  DType x = DType::f32;
  std::int64_t position = -1;  ///< First position; -1 leaves the argument out.
  bool perf = false;

  std::string name() const {
    return fmt::format("{}_{}/B={}/T={}/V={}/C={}{}", name_of(table), name_of(x), batch, length,
                       vocab, width, position < 0 ? "" : fmt::format("/position={}", position));
  }
  TensorSpec tokens() const {
    return {.name = "tokens",
            .shape = {batch, length},
            .dtype = DType::i32,
            .fill = {.kind = Fill::Kind::integer, .a = 0, .b = static_cast<double>(vocab - 1)}};
  }
  double elements() const { return static_cast<double>(batch * length * width); }
};

void reference_forward(const EmbeddingCase& c, Values& v) {
  const auto first = std::max<std::int64_t>(0, c.position);
  auto& x = v["x"];
  x.assign(static_cast<std::size_t>(c.batch * c.length * c.width), 0.0);
  for (std::int64_t n = 0; n < c.batch * c.length; ++n) {
    const auto token = static_cast<std::int64_t>(v.at("tokens")[n]);
    const std::int64_t place = first + n % c.length;
    for (std::int64_t i = 0; i < c.width; ++i) {
      x[n * c.width + i] = v.at("wte")[token * c.width + i] + v.at("wpe")[place * c.width + i];
    }
  }
}

OpCase forward_case(const EmbeddingCase& c) {
  OpCase r;
  r.operation = "embedding";
  r.variant = c.name();
  r.tensors = {
      c.tokens(),
      {.name = "wte", .shape = {c.vocab, c.width}, .dtype = c.table},
      {.name = "wpe", .shape = {c.positions, c.width}, .dtype = c.table},
      {.name = "x", .shape = {c.batch, c.length, c.width}, .dtype = c.x, .role = Role::output}};
  if (c.position >= 0) {
    r.tensors.push_back({.name = "position",
                         .shape = {1},
                         .dtype = DType::i32,
                         .fill = {.kind = Fill::Kind::constant, .a = double(c.position)}});
  }
  r.encode = [c](CommandBuffer& commands, const Tensors& t) {
    ops::embedding(commands, {.tokens = t.at("tokens"),
                              .wte = t.at("wte"),
                              .wpe = t.at("wpe"),
                              .x = t.at("x"),
                              .position = c.position >= 0 ? t.at("position") : Tensor()});
  };
  r.reference = [c](Values& v) { reference_forward(c, v); };
  r.bytes = c.elements() * static_cast<double>(size_of(c.table) + size_of(c.x));
  r.perf = c.perf;
  return r;
}

OpCase backward_case(const EmbeddingCase& c) {
  OpCase r;
  r.operation = "embedding_backward";
  r.variant = c.name();
  r.tensors = {
      c.tokens(),
      {.name = "dx", .shape = {c.batch, c.length, c.width}, .dtype = c.x},
      {.name = "dwte", .shape = {c.vocab, c.width}, .role = Role::inout, .tolerance = 1e-4},
      {.name = "dwpe", .shape = {c.positions, c.width}, .role = Role::inout, .tolerance = 1e-4}};
  r.encode = [](CommandBuffer& commands, const Tensors& t) {
    ops::embedding_backward(
        commands,
        {.tokens = t.at("tokens"), .dx = t.at("dx"), .dwte = t.at("dwte"), .dwpe = t.at("dwpe")});
  };
  r.reference = [c](Values& v) {
    for (std::int64_t n = 0; n < c.batch * c.length; ++n) {
      const auto token = static_cast<std::int64_t>(v.at("tokens")[n]);
      for (std::int64_t i = 0; i < c.width; ++i) {
        const double dx = v.at("dx")[n * c.width + i];
        v.at("dwte")[token * c.width + i] += dx;
        v.at("dwpe")[n % c.length * c.width + i] += dx;
      }
    }
  };
  // Read dx twice; read and write a row of dwte for every token and of dwpe for every position.
  r.bytes = c.elements() * static_cast<double>(2 * size_of(c.x) + 2 * sizeof(float)) +
            static_cast<double>(c.length * c.width * 2) * sizeof(float);
  r.perf = c.perf;
  return r;
}

OpCase gradient_case(const EmbeddingCase& c) {
  OpCase r = backward_case(c);
  r.variant += "/gradient";
  r.tensors.push_back({.name = "wte", .shape = {c.vocab, c.width}});
  r.tensors.push_back({.name = "wpe", .shape = {c.positions, c.width}});
  r.gradcheck = {{.forward = [c](Values& v) { reference_forward(c, v); },
                  .upstream = {{"x", "dx"}},
                  .gradients = {{"wte", "dwte"}, {"wpe", "dwpe"}}}};
  return r;
}

}  // namespace

std::vector<OpCase> embedding_cases() {
  std::vector<EmbeddingCase> all;
  for (const DType x : {DType::f32, DType::bf16}) {
    for (const DType table : {DType::f32, DType::bf16}) {
      all.push_back({1, 1, 1, 1, 1, table, x});
      all.push_back({2, 7, 50, 9, 17, table, x, 2});
      all.push_back({3, 513, 1776, 513, 50, table, x});
    }
    all.push_back({1, 513, 50257, 1024, 768, x, x, 511});
    all.push_back({4, 512, 1776, 512, 512, x, x, -1, true});
  }
  std::vector<OpCase> cases;
  for (const auto& c : all) {
    cases.push_back(forward_case(c));
    // Backward knows neither the tables' type nor a position.
    if (c.table == DType::f32 || c.x == c.table) {
      if (c.position < 0) cases.push_back(backward_case(c));
    }
  }
  // One token everywhere: the longest sums; and widths that share cache lines between threads.
  cases.push_back(backward_case({4, 128, 1, 128, 512}));
  cases.push_back(backward_case({2, 7, 3, 9, 130}));
  // More tokens than one pass over them serves, as text has them and with sums of a thousand.
  cases.push_back(backward_case({9, 513, 1776, 513, 50}));
  cases.push_back(backward_case({5, 1001, 3, 1001, 136, DType::f32, DType::bf16}));
  cases.push_back(gradient_case({2, 7, 5, 9, 17}));
  cases.push_back(gradient_case({1, 1, 3, 1, 50}));
  cases.push_back(gradient_case({3, 33, 50, 40, 64, DType::f32, DType::bf16}));
  return cases;
}

}  // namespace cajal::testing
