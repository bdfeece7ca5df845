#include "ops/cuda_attention.h"

#include <utility>
#include <vector>

#include "ops/attention/cuda_implementations.h"

namespace cajal::testing {
namespace {

std::vector<BufferUse> uses_of(const ops::AttentionArgs& args) {
  return {{args.qkv.buffer, Access::read},
          {args.out.buffer, Access::write},
          {args.lse.buffer, Access::write}};
}

std::vector<BufferUse> uses_of(const ops::AttentionBackwardArgs& args) {
  return {{args.qkv.buffer, Access::read},
          {args.out.buffer, Access::read},
          {args.lse.buffer, Access::read},
          {args.dout.buffer, Access::read},
          {args.dqkv.buffer, Access::write}};
}

template <class Args>
void encode_library(CommandBuffer& commands, const Args& args,
                    const std::shared_ptr<std::string>& refusal) {
  commands.encode("cudnn attention", uses_of(args), [args, refusal](ExecutionContext& context) {
    ops::cuda_attention::run_cudnn(cuda(context), args, refusal.get());
  });
}

}  // namespace

std::string cudnn_absence() { return ops::cuda_attention::cudnn_absence(); }

void encode_cudnn(CommandBuffer& commands, const ops::AttentionArgs& args,
                  const std::shared_ptr<std::string>& refusal) {
  encode_library(commands, args, refusal);
}

void encode_cudnn(CommandBuffer& commands, const ops::AttentionBackwardArgs& args,
                  const std::shared_ptr<std::string>& refusal) {
  encode_library(commands, args, refusal);
}

void encode_wgmma(CommandBuffer& commands, const ops::AttentionBackwardArgs& args,
                  const std::shared_ptr<std::string>& refusal) {
  commands.encode("wgmma attention", uses_of(args), [args, refusal](ExecutionContext& context) {
    if (!ops::cuda_attention::run_wgmma(cuda(context), args)) *refusal = "does not fit";
  });
}

}  // namespace cajal::testing
