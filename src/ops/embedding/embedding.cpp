#include "ops/embedding/embedding.h"

#include <fmt/format.h>

#include "ops/check.h"
#include "ops/dispatch.h"
#include "ops/embedding/backends.h"

namespace cajal::ops {
namespace {

void check_tokens(std::string_view op, const Tensor& tokens) {
  require_dtype(op, "tokens", tokens, {DType::i32});
  require(tokens.shape.size() == 2, op, "tokens must have shape [B,T]");
}

/// `table` is [rows, width of x]; `x` is [B,T,width].
void check_table(std::string_view op, std::string_view name, const Tensor& table, const Tensor& x) {
  require_present(op, name, table);
  require(table.shape.size() == 2, op, "wte and wpe must have two dimensions");
  require_shape(op, name, table, {table.dim(0), x.dim(-1)});
}

void check_activation(std::string_view op, std::string_view name, const Tensor& x,
                      const Tensor& tokens) {
  require_dtype(op, name, x, {DType::f32, DType::bf16});
  require(x.shape.size() == 3, op, "the activation must have shape [B,T,C]");
  require_shape(op, name, x, {tokens.dim(0), tokens.dim(1), x.dim(2)});
}

}  // namespace

Error token_outside(std::int64_t index, std::int64_t length, std::int32_t id, std::int64_t vocab) {
  return Error(fmt::format("token [{},{}] is {}, outside the table of {} rows", index / length,
                           index % length, id, vocab),
               "use the tokenizer that the model was made with");
}

Error positions_outside(std::int32_t position, std::int64_t length, std::int64_t positions) {
  return Error(fmt::format("positions [{},{}) reach outside the table of {} rows", position,
                           position + length, positions),
               "use a shorter text or a model with more positions");
}

void embedding(CommandBuffer& commands, const EmbeddingArgs& args) {
  constexpr auto op = "embedding";
  check_tokens(op, args.tokens);
  check_activation(op, "x", args.x, args.tokens);
  require_dtype(op, "wte", args.wte, {DType::f32, DType::bf16});
  require_dtype(op, "wpe", args.wpe, {args.wte.dtype});
  check_table(op, "wte", args.wte, args.x);
  check_table(op, "wpe", args.wpe, args.x);
  require(args.tokens.dim(1) <= args.wpe.dim(0), op, "the sequence is longer than wpe");
  require_disjoint(op, "x", args.x, "wte", args.wte);
  require_disjoint(op, "x", args.x, "wpe", args.wpe);
  std::vector<BufferUse> uses{{args.tokens.buffer, Access::read},
                              {args.wte.buffer, Access::read},
                              {args.wpe.buffer, Access::read},
                              {args.x.buffer, Access::write}};
  if (args.position) {
    require_dtype(op, "position", args.position, {DType::i32});
    require_shape(op, "position", args.position, {1});
    uses.push_back({args.position.buffer, Access::read});
  }
  commands.encode(op, std::move(uses),
                  kernel_for<EmbeddingArgs>(
                      commands.device(), op,
                      {.cpu = cpu_backend::embedding, .cuda = cuda_backend::embedding}, args));
}

void embedding_backward(CommandBuffer& commands, const EmbeddingBackwardArgs& args) {
  constexpr auto op = "embedding_backward";
  check_tokens(op, args.tokens);
  check_activation(op, "dx", args.dx, args.tokens);
  require_dtype(op, "dwte", args.dwte, {DType::f32});
  require_dtype(op, "dwpe", args.dwpe, {DType::f32});
  check_table(op, "dwte", args.dwte, args.dx);
  check_table(op, "dwpe", args.dwpe, args.dx);
  require(args.tokens.dim(1) <= args.dwpe.dim(0), op, "the sequence is longer than dwpe");
  require_disjoint(op, "dwte", args.dwte, "dwpe", args.dwpe);
  require_disjoint(op, "dwte", args.dwte, "dx", args.dx);
  require_disjoint(op, "dwpe", args.dwpe, "dx", args.dx);
  commands.encode(op,
                  {{args.tokens.buffer, Access::read},
                   {args.dx.buffer, Access::read},
                   {args.dwte.buffer, Access::read_write},
                   {args.dwpe.buffer, Access::read_write}},
                  kernel_for<EmbeddingBackwardArgs>(commands.device(), op,
                                                    {.cpu = cpu_backend::embedding_backward,
                                                     .cuda = cuda_backend::embedding_backward},
                                                    args));
}

}  // namespace cajal::ops
