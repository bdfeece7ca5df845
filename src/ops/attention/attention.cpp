#include "ops/attention/attention.h"

#include "ops/attention/backends.h"
#include "ops/check.h"
#include "ops/dispatch.h"

namespace cajal::ops {
namespace {

struct Sizes {
  std::int64_t batch = 0;
  std::int64_t tokens = 0;
  std::int64_t channels = 0;
};

Sizes check_qkv(std::string_view operation, const Tensor& qkv, int heads) {
  require_dtype(operation, "qkv", qkv, {DType::f32, DType::bf16});
  require(qkv.shape.size() == 3 && qkv.size() > 0 && qkv.dim(2) % 3 == 0, operation,
          "qkv has shape " + to_string(qkv.shape) + ", needs [batch, tokens, 3 * channels]");
  const Sizes sizes{qkv.dim(0), qkv.dim(1), qkv.dim(2) / 3};
  require(heads > 0 && sizes.channels % heads == 0, operation,
          std::to_string(heads) + " heads do not divide " + std::to_string(sizes.channels) +
              " channels");
  return sizes;
}

void check_like(std::string_view operation, std::string_view name, const Tensor& tensor,
                const Shape& shape, DType dtype) {
  require_shape(operation, name, tensor, shape);
  require_dtype(operation, name, tensor, {dtype});
}

void check_dropout(std::string_view operation, const AttentionDropout& dropout,
                   std::vector<BufferUse>& uses) {
  require(dropout.probability >= 0.0F && dropout.probability < 1.0F, operation,
          "dropout probability " + std::to_string(dropout.probability) + " is not in [0, 1)");
  if (dropout.probability == 0.0F) return;
  check_like(operation, "dropout seed", dropout.seed, {2}, DType::i32);
  uses.push_back({dropout.seed.buffer, Access::read});
}

}  // namespace

void attention(CommandBuffer& commands, const AttentionArgs& args) {
  constexpr std::string_view kName = "attention";
  const auto [batch, tokens, channels] = check_qkv(kName, args.qkv, args.heads);
  check_like(kName, "out", args.out, {batch, tokens, channels}, args.qkv.dtype);
  check_like(kName, "lse", args.lse, {batch, args.heads, tokens}, DType::f32);
  std::vector<BufferUse> uses{{args.qkv.buffer, Access::read},
                              {args.out.buffer, Access::write},
                              {args.lse.buffer, Access::write}};
  check_dropout(kName, args.dropout, uses);
  require_disjoint(kName, "out", args.out, "qkv", args.qkv);
  require_disjoint(kName, "lse", args.lse, "qkv", args.qkv);
  require_disjoint(kName, "lse", args.lse, "out", args.out);
  commands.encode(
      kName, std::move(uses),
      kernel_for(commands.device(), kName,
                 {.cpu = cpu_backend::attention, .cuda = cuda_backend::attention}, args));
}

void attention_backward(CommandBuffer& commands, const AttentionBackwardArgs& args) {
  constexpr std::string_view kName = "attention_backward";
  const auto [batch, tokens, channels] = check_qkv(kName, args.qkv, args.heads);
  const DType dtype = args.qkv.dtype;
  check_like(kName, "out", args.out, {batch, tokens, channels}, dtype);
  check_like(kName, "lse", args.lse, {batch, args.heads, tokens}, DType::f32);
  check_like(kName, "dout", args.dout, {batch, tokens, channels}, dtype);
  check_like(kName, "dqkv", args.dqkv, args.qkv.shape, dtype);
  std::vector<BufferUse> uses{{args.qkv.buffer, Access::read},
                              {args.out.buffer, Access::read},
                              {args.lse.buffer, Access::read},
                              {args.dout.buffer, Access::read},
                              {args.dqkv.buffer, Access::write}};
  check_dropout(kName, args.dropout, uses);
  for (const auto& [name, tensor] :
       {std::pair{"qkv", args.qkv}, {"out", args.out}, {"lse", args.lse}, {"dout", args.dout}}) {
    require_disjoint(kName, "dqkv", args.dqkv, name, tensor);
  }
  commands.encode(
      kName, std::move(uses),
      kernel_for(commands.device(), kName,
                 {.cpu = cpu_backend::attention_backward, .cuda = cuda_backend::attention_backward},
                 args));
}

void cached_attention(CommandBuffer& commands, const CachedAttentionArgs& args) {
  constexpr std::string_view kName = "cached_attention";
  const auto [batch, tokens, channels] = check_qkv(kName, args.qkv, args.heads);
  const DType dtype = args.qkv.dtype;
  require_present(kName, "k_cache", args.k_cache);
  require(args.k_cache.shape.size() == 3 && args.k_cache.dim(1) >= tokens, kName,
          "k_cache has shape " + to_string(args.k_cache.shape) + ", needs room for " +
              std::to_string(tokens) + " tokens");
  const Shape cache{batch, args.k_cache.dim(1), channels};
  check_like(kName, "k_cache", args.k_cache, cache, dtype);
  check_like(kName, "v_cache", args.v_cache, cache, dtype);
  check_like(kName, "position", args.position, {1}, DType::i32);
  check_like(kName, "out", args.out, {batch, tokens, channels}, dtype);
  for (const auto& [name, tensor] :
       {std::pair{"qkv", args.qkv}, {"k_cache", args.k_cache}, {"v_cache", args.v_cache}}) {
    require_disjoint(kName, "out", args.out, name, tensor);
  }
  require_disjoint(kName, "k_cache", args.k_cache, "v_cache", args.v_cache);
  require_disjoint(kName, "k_cache", args.k_cache, "qkv", args.qkv);
  require_disjoint(kName, "v_cache", args.v_cache, "qkv", args.qkv);
  commands.encode(
      kName,
      {{args.qkv.buffer, Access::read},
       {args.k_cache.buffer, Access::read_write},
       {args.v_cache.buffer, Access::read_write},
       {args.position.buffer, Access::read},
       {args.out.buffer, Access::write}},
      kernel_for(commands.device(), kName,
                 {.cpu = cpu_backend::cached_attention, .cuda = cuda_backend::cached_attention},
                 args));
}

}  // namespace cajal::ops
