#include "ops/cudnn_attention.h"

#include <utility>
#include <vector>

#include "ops/attention/cuda_implementations.h"

namespace cajal::testing {
namespace {

template <class Args>
void encode(CommandBuffer& commands, const Args& args, std::vector<BufferUse> uses,
            const std::shared_ptr<std::string>& refusal) {
  commands.encode("cudnn attention", std::move(uses), [args, refusal](ExecutionContext& context) {
    ops::cuda_attention::run_cudnn(cuda(context), args, refusal.get());
  });
}

}  // namespace

std::string cudnn_absence() { return ops::cuda_attention::cudnn_absence(); }

void encode_cudnn(CommandBuffer& commands, const ops::AttentionArgs& args,
                  const std::shared_ptr<std::string>& refusal) {
  encode(commands, args,
         {{args.qkv.buffer, Access::read},
          {args.out.buffer, Access::write},
          {args.lse.buffer, Access::write}},
         refusal);
}

void encode_cudnn(CommandBuffer& commands, const ops::AttentionBackwardArgs& args,
                  const std::shared_ptr<std::string>& refusal) {
  encode(commands, args,
         {{args.qkv.buffer, Access::read},
          {args.out.buffer, Access::read},
          {args.lse.buffer, Access::read},
          {args.dout.buffer, Access::read},
          {args.dqkv.buffer, Access::write}},
         refusal);
}

}  // namespace cajal::testing
