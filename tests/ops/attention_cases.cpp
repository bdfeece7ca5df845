#include "ops/attention_cases.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/attention/attention.h"
#include "ops/attention_reference.h"
#include "ops/philox.h"

namespace cajal::testing {
namespace {

constexpr std::uint32_t kStream = 9;

ops::AttentionDropout dropout_of(const AttentionSize& size, const Tensors& t) {
  return {.probability = size.dropout, .seed = t.at("seed"), .stream = kStream};
}

/// As attention.h lays the random words out.
DropoutFactor factor_of(const AttentionSize& size, const Values& v, std::int64_t head) {
  if (size.dropout == 0.0F) return [](std::int64_t, std::int64_t) { return 1.0; };
  const auto word = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(v.at("seed")[i]));
  };
  return [size, head, key = ops::PhiloxKey{word(0), word(1)}](std::int64_t t, std::int64_t s) {
    const auto group =
        static_cast<std::uint64_t>((head * ((size.tokens + 3) / 4) + s / 4) * size.tokens + t);
    const auto words = ops::philox4x32(
        {static_cast<std::uint32_t>(group), static_cast<std::uint32_t>(group >> 32), kStream, 0},
        key);
    const bool kept = ops::philox_uniform(words[static_cast<std::size_t>(s % 4)]) >= size.dropout;
    return kept ? 1.0 / (1.0 - double{size.dropout}) : 0.0;
  };
}

/// Part `part` (of q, k, v) of head `head`, counted over the batch.
HeadMatrix part_of(const AttentionSize& size, std::vector<double>& tensor, std::int64_t head,
                   std::int64_t part, std::int64_t parts) {
  const std::int64_t stride = parts * size.channels();
  return {tensor.data() + head / size.heads * size.tokens * stride + part * size.channels() +
              head % size.heads * size.width,
          stride};
}

void forward(const AttentionSize& size, Values& v) {
  const auto rows = static_cast<std::size_t>(size.batch * size.tokens);
  v["out"].assign(rows * static_cast<std::size_t>(size.channels()), 0.0);
  v["lse"].assign(rows * static_cast<std::size_t>(size.heads), 0.0);
  for (std::int64_t head = 0; head < size.batch * size.heads; ++head) {
    reference_forward({.q = part_of(size, v["qkv"], head, 0, 3),
                       .k = part_of(size, v["qkv"], head, 1, 3),
                       .v = part_of(size, v["qkv"], head, 2, 3),
                       .out = part_of(size, v["out"], head, 0, 1),
                       .lse = v["lse"].data() + head * size.tokens,
                       .tokens = size.tokens,
                       .width = size.width,
                       .factor = factor_of(size, v, head)});
  }
}

void backward(const AttentionSize& size, Values& v) {
  v["dqkv"].assign(v["qkv"].size(), 0.0);
  for (std::int64_t head = 0; head < size.batch * size.heads; ++head) {
    reference_backward({.q = part_of(size, v["qkv"], head, 0, 3),
                        .k = part_of(size, v["qkv"], head, 1, 3),
                        .v = part_of(size, v["qkv"], head, 2, 3),
                        .dout = part_of(size, v["dout"], head, 0, 1),
                        .dq = part_of(size, v["dqkv"], head, 0, 3),
                        .dk = part_of(size, v["dqkv"], head, 1, 3),
                        .dv = part_of(size, v["dqkv"], head, 2, 3),
                        .tokens = size.tokens,
                        .width = size.width,
                        .factor = factor_of(size, v, head)});
  }
}

void cached(const AttentionSize& size, std::int64_t capacity, Values& v) {
  const auto position = static_cast<std::int64_t>(v.at("position").front());
  const std::int64_t channels = size.channels();
  v["out"].assign(static_cast<std::size_t>(size.batch * size.tokens * channels), 0.0);
  for (std::int64_t row = 0; row < size.batch * size.tokens; ++row) {
    const auto k = v["qkv"].begin() + (3 * row + 1) * channels;
    const std::int64_t to =
        (row / size.tokens * capacity + position + row % size.tokens) * channels;
    std::copy_n(k, channels, v["k_cache"].begin() + to);
    std::copy_n(k + channels, channels, v["v_cache"].begin() + to);
  }
  for (std::int64_t head = 0; head < size.batch * size.heads; ++head) {
    const std::int64_t at =
        head / size.heads * capacity * channels + head % size.heads * size.width;
    reference_forward({.q = part_of(size, v["qkv"], head, 0, 3),
                       .k = {v["k_cache"].data() + at, channels},
                       .v = {v["v_cache"].data() + at, channels},
                       .out = part_of(size, v["out"], head, 0, 1),
                       .tokens = size.tokens,
                       .position = position,
                       .width = size.width,
                       .factor = [](std::int64_t, std::int64_t) { return 1.0; }});
  }
}

/// Rounding of scores grows with their size, and an exponential turns it into an error of its own.
double growth_of(const AttentionSize& size) { return std::max(1.0, size.spread * size.spread); }

double tolerance_of(const AttentionSize& size) {
  return size.dtype == DType::bf16 ? std::max(1.0, size.spread / 4.0) / 64.0
                                   : 2e-5 * growth_of(size);
}

/// In bf16 the rounding of out, through its product with dout, weighs on every gradient of a score.
double gradient_tolerance_of(const AttentionSize& size) {
  return (size.dtype == DType::bf16 ? 1.0 / 32.0 : 4e-5) * growth_of(size);
}

TensorSpec seed_spec() {
  return {.name = "seed",
          .shape = {2},
          .dtype = DType::i32,
          .fill = {.kind = Fill::Kind::integer, .a = -2147483648.0, .b = 2147483647.0}};
}

/// A multiplication and an addition for half of the T x T pairs and every feature, a product.
double flops_of(const AttentionSize& size, int products) {
  return static_cast<double>(size.batch * size.tokens * size.tokens * size.channels()) * products;
}

}  // namespace

std::string AttentionSize::name() const {
  return fmt::format("{}/B={}/T={}/heads={}/D={}/p={}/spread={}", name_of(dtype), batch, tokens,
                     heads, width, dropout, spread);
}

OpCase attention_case(const AttentionSize& size) {
  const Shape qkv{size.batch, size.tokens, 3 * size.channels()};
  const Shape out{size.batch, size.tokens, size.channels()};
  const Shape lse{size.batch, size.heads, size.tokens};
  OpCase c;
  c.operation = "attention";
  c.variant = size.name();
  c.tensors = {{.name = "qkv", .shape = qkv, .dtype = size.dtype, .fill = {.b = size.spread}},
               seed_spec(),
               {.name = "out",
                .shape = out,
                .dtype = size.dtype,
                .role = Role::output,
                .tolerance = tolerance_of(size)},
               {.name = "lse", .shape = lse, .role = Role::output}};
  c.encode = [size](CommandBuffer& commands, const Tensors& t) {
    ops::attention(commands, {.qkv = t.at("qkv"),
                              .out = t.at("out"),
                              .lse = t.at("lse"),
                              .heads = size.heads,
                              .dropout = dropout_of(size, t)});
  };
  c.reference = [size](Values& v) { forward(size, v); };
  c.flops = flops_of(size, 2);
  return c;
}

OpCase attention_backward_case(const AttentionSize& size) {
  const Shape qkv{size.batch, size.tokens, 3 * size.channels()};
  const Shape out{size.batch, size.tokens, size.channels()};
  const Shape lse{size.batch, size.heads, size.tokens};
  OpCase c;
  c.operation = "attention_backward";
  c.variant = size.name();
  c.tensors = {{.name = "qkv", .shape = qkv, .dtype = size.dtype, .fill = {.b = size.spread}},
               {.name = "out", .shape = out, .dtype = size.dtype},
               {.name = "lse", .shape = lse, .fill = {.a = 8.0}},
               {.name = "dout", .shape = out, .dtype = size.dtype},
               seed_spec(),
               {.name = "dqkv",
                .shape = qkv,
                .dtype = size.dtype,
                .role = Role::output,
                .tolerance = gradient_tolerance_of(size)}};
  c.encode = [size](CommandBuffer& commands, const Tensors& t) {
    ops::attention_backward(commands, {.qkv = t.at("qkv"),
                                       .out = t.at("out"),
                                       .lse = t.at("lse"),
                                       .dout = t.at("dout"),
                                       .dqkv = t.at("dqkv"),
                                       .heads = size.heads,
                                       .dropout = dropout_of(size, t)});
  };
  c.reference = [size](Values& v) { backward(size, v); };
  c.gradcheck = {{.forward = [size](Values& v) { forward(size, v); },
                  .upstream = {{"out", "dout"}},
                  .gradients = {{"qkv", "dqkv"}}}};
  c.flops = flops_of(size, 5);
  return c;
}

OpCase cached_attention_case(const AttentionSize& size, std::int64_t capacity,
                             std::int64_t position) {
  const Shape cache{size.batch, capacity, size.channels()};
  OpCase c;
  c.operation = "cached_attention";
  c.variant = fmt::format("{}/P={}/position={}", size.name(), capacity, position);
  c.tensors = {{.name = "qkv",
                .shape = {size.batch, size.tokens, 3 * size.channels()},
                .dtype = size.dtype,
                .fill = {.b = size.spread}},
               {.name = "k_cache", .shape = cache, .dtype = size.dtype, .role = Role::inout},
               {.name = "v_cache", .shape = cache, .dtype = size.dtype, .role = Role::inout},
               {.name = "position",
                .shape = {1},
                .dtype = DType::i32,
                .fill = {.kind = Fill::Kind::constant, .a = static_cast<double>(position)}},
               {.name = "out",
                .shape = {size.batch, size.tokens, size.channels()},
                .dtype = size.dtype,
                .role = Role::output,
                .tolerance = tolerance_of(size)}};
  c.encode = [heads = size.heads](CommandBuffer& commands, const Tensors& t) {
    ops::cached_attention(commands, {.qkv = t.at("qkv"),
                                     .k_cache = t.at("k_cache"),
                                     .v_cache = t.at("v_cache"),
                                     .position = t.at("position"),
                                     .out = t.at("out"),
                                     .heads = heads});
  };
  c.reference = [size, capacity](Values& v) { cached(size, capacity, v); };
  return c;
}

namespace {

/// T around the kernels' blocks of 64, odd widths, one head and many, large scores, dropout.
std::vector<AttentionSize> checked_sizes(DType dtype) {
  return {
      {1, 1, 1, 1, dtype},         {2, 7, 3, 17, dtype},
      {1, 31, 2, 50, dtype},       {1, 64, 1, 64, dtype},
      {2, 65, 2, 80, dtype},       {1, 130, 1, 96, dtype},
      {1, 200, 5, 128, dtype},     {1, 513, 1, 64, dtype},
      {3, 100, 4, 33, dtype},      {1, 150, 2, 64, dtype, 0.0F, dtype == DType::bf16 ? 2.0 : 4.0},
      {1, 96, 2, 64, dtype, 0.1F}, {2, 131, 2, 17, dtype, 0.5F}};
}

OpCase for_speed(OpCase c) {
  c.perf = true;
  c.reference = {};
  c.gradcheck.clear();
  return c;
}

}  // namespace

std::vector<OpCase> attention_cases() {
  std::vector<OpCase> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const AttentionSize& size : checked_sizes(dtype)) {
      cases.push_back(attention_case(size));
      cases.push_back(attention_backward_case(size));
    }
    cases.push_back(attention_case({1, 130, 2, 64, dtype, 0.0F, 20.0}));

    cases.push_back(cached_attention_case({2, 1, 3, 17, dtype}, 9, 0));
    cases.push_back(cached_attention_case({2, 1, 3, 64, dtype}, 200, 199));
    cases.push_back(cached_attention_case({1, 5, 2, 50, dtype}, 130, 70));
    cases.push_back(cached_attention_case({2, 16, 2, 64, dtype}, 150, 40));
    cases.push_back(cached_attention_case({1, 129, 2, 80, dtype}, 300, 63));

    // cajal-20m, then GPT-2 124M; last dropout as GPT-2 trains with.
    for (const AttentionSize& size : {AttentionSize{1, 512, 8, 64, dtype},
                                      {4, 512, 8, 64, dtype},
                                      {8, 512, 8, 64, dtype},
                                      {32, 512, 8, 64, dtype},
                                      {1, 1024, 12, 64, dtype},
                                      {4, 512, 8, 64, dtype, 0.1F}}) {
      cases.push_back(for_speed(attention_case(size)));
      cases.push_back(for_speed(attention_backward_case(size)));
    }
    cases.push_back(for_speed(cached_attention_case({1, 1, 8, 64, dtype}, 512, 511)));
    cases.push_back(for_speed(cached_attention_case({1, 512, 8, 64, dtype}, 512, 0)));
  }
  return cases;
}

}  // namespace cajal::testing
