// A byte-level transformer of one block, trained on the GPU with AdamW.
//
//   trainer FILE [STEPS]
//
// The kernels are those of trainer.metal, built into the default library. Every operation commits
// its command buffer and waits for it: sixteen waits a training step. cajal-sync finds that one of
// them is needed; docs/sync.md walks through it.
#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr uint32_t kVocab = 256;
constexpr uint32_t kWidth = 256;
constexpr uint32_t kHidden = 4 * kWidth;
constexpr uint32_t kHeads = 8;
constexpr uint32_t kLength = 128;
constexpr uint32_t kBatch = 16;
constexpr uint32_t kRows = kBatch * kLength;

// Mirrors of the structs in trainer.metal.
struct LinearArgs {
  uint32_t rows;
  uint32_t in;
  uint32_t out;
  uint32_t gelu;
  uint32_t residual;
};

struct AdamArgs {
  uint32_t count;
  float rate;
  float beta1;
  float beta2;
  float epsilon;
  float decay;
  float correction1;
  float correction2;
};

// Where each weight begins in the one buffer that holds them all, in floats.
enum : NSUInteger {
  kEmbedding = 0,
  kPosition = kEmbedding + kVocab * kWidth,
  kNorm1 = kPosition + kLength * kWidth,
  kWq = kNorm1 + kWidth,
  kWk = kWq + kWidth * kWidth,
  kWv = kWk + kWidth * kWidth,
  kWo = kWv + kWidth * kWidth,
  kNorm2 = kWo + kWidth * kWidth,
  kUp = kNorm2 + kWidth,
  kDown = kUp + kWidth * kHidden,
  kHead = kDown + kHidden * kWidth,
  kWeights = kHead + kWidth * kVocab,
};

}  // namespace

@interface Trainer : NSObject
- (instancetype)initWithDevice:(id<MTLDevice>)device;
- (float)trainStep:(const std::vector<int32_t>&)tokens targets:(const std::vector<int32_t>&)targets;
- (std::string)generate:(const std::string&)prompt count:(int)count;
@end

@implementation Trainer {
  id<MTLDevice> _device;
  id<MTLCommandQueue> _queue;
  NSMutableDictionary<NSString*, id<MTLComputePipelineState>>* _kernels;
  id<MTLBuffer> _weights, _gradients, _moment1, _moment2;
  id<MTLBuffer> _tokens, _targets, _loss, _next;
  id<MTLBuffer> _x, _normed, _q, _k, _v, _mixed, _afterAttention, _normed2, _hidden, _y;
  id<MTLBuffer> _logits, _dLogits, _dY, _dAttention, _dX;
  int _step;
}

- (instancetype)initWithDevice:(id<MTLDevice>)device {
  self = [super init];
  if (!self) return nil;
  _device = device;
  _queue = [device newCommandQueue];
  [self loadKernels];
  _weights = [self floats:kWeights];
  _gradients = [self floats:kWeights];
  _moment1 = [self floats:kWeights];
  _moment2 = [self floats:kWeights];
  _tokens = [self buffer:kRows * sizeof(int32_t)];
  _targets = [self buffer:kRows * sizeof(int32_t)];
  _next = [self buffer:sizeof(int32_t)];
  _loss = [self floats:kRows];
  _x = [self floats:kRows * kWidth];
  _normed = [self floats:kRows * kWidth];
  _q = [self floats:kRows * kWidth];
  _k = [self floats:kRows * kWidth];
  _v = [self floats:kRows * kWidth];
  _mixed = [self floats:kRows * kWidth];
  _afterAttention = [self floats:kRows * kWidth];
  _normed2 = [self floats:kRows * kWidth];
  _hidden = [self floats:kRows * kHidden];
  _y = [self floats:kRows * kWidth];
  _logits = [self floats:kRows * kVocab];
  _dLogits = [self floats:kRows * kVocab];
  _dY = [self floats:kRows * kWidth];
  _dAttention = [self floats:kRows * kWidth];
  _dX = [self floats:kRows * kWidth];
  [self initialiseWeights];
  return self;
}

- (void)loadKernels {
  id<MTLLibrary> library = [_device newDefaultLibrary];
  _kernels = [NSMutableDictionary dictionary];
  for (NSString* name in @[
         @"embed", @"rms_norm", @"linear", @"attention", @"cross_entropy", @"head_backward",
         @"feed_forward_backward", @"attention_backward", @"embed_backward", @"adamw", @"argmax"
       ]) {
    NSError* error = nil;
    _kernels[name] = [_device newComputePipelineStateWithFunction:[library newFunctionWithName:name]
                                                            error:&error];
    if (!_kernels[name]) {
      NSLog(@"%@: %@", name, error.localizedDescription);
      exit(1);
    }
  }
}

- (id<MTLBuffer>)buffer:(NSUInteger)bytes {
  return [_device newBufferWithLength:bytes options:MTLResourceStorageModeShared];
}

- (id<MTLBuffer>)floats:(NSUInteger)count {
  return [self buffer:count * sizeof(float)];
}

- (void)initialiseWeights {
  std::mt19937 random(1337);
  std::normal_distribution<float> normal(0.0f, 0.02f);
  float* weights = (float*)_weights.contents;
  for (NSUInteger i = 0; i < kWeights; ++i) weights[i] = normal(random);
  for (NSUInteger i = 0; i < kWidth; ++i) weights[kNorm1 + i] = weights[kNorm2 + i] = 1.0f;
  memset(_moment1.contents, 0, kWeights * sizeof(float));
  memset(_moment2.contents, 0, kWeights * sizeof(float));
}

// Forward.

- (void)embed {
  id<MTLCommandBuffer> cmd = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cmd computeCommandEncoder];
  [enc setComputePipelineState:_kernels[@"embed"]];
  [enc setBuffer:_tokens offset:0 atIndex:0];
  [enc setBuffer:_weights offset:kEmbedding * sizeof(float) atIndex:1];
  [enc setBuffer:_weights offset:kPosition * sizeof(float) atIndex:2];
  [enc setBuffer:_x offset:0 atIndex:3];
  [enc dispatchThreads:MTLSizeMake(kWidth, kRows, 1) threadsPerThreadgroup:MTLSizeMake(64, 4, 1)];
  [enc endEncoding];
  [cmd commit];
  [cmd waitUntilCompleted];
}

- (void)norm:(id<MTLBuffer>)input weight:(NSUInteger)weight to:(id<MTLBuffer>)output {
  id<MTLCommandBuffer> cmd = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cmd computeCommandEncoder];
  [enc setComputePipelineState:_kernels[@"rms_norm"]];
  [enc setBuffer:input offset:0 atIndex:0];
  [enc setBuffer:_weights offset:weight * sizeof(float) atIndex:1];
  [enc setBuffer:output offset:0 atIndex:2];
  [enc dispatchThreadgroups:MTLSizeMake(kRows, 1, 1) threadsPerThreadgroup:MTLSizeMake(64, 1, 1)];
  [enc endEncoding];
  [cmd commit];
  [cmd waitUntilCompleted];
}

- (void)linear:(id<MTLBuffer>)input
        weight:(NSUInteger)weight
      residual:(id<MTLBuffer>)residual
            to:(id<MTLBuffer>)output
          args:(LinearArgs)args {
  id<MTLCommandBuffer> cmd = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cmd computeCommandEncoder];
  [enc setComputePipelineState:_kernels[@"linear"]];
  [enc setBuffer:input offset:0 atIndex:0];
  [enc setBuffer:_weights offset:weight * sizeof(float) atIndex:1];
  [enc setBuffer:residual offset:0 atIndex:2];
  [enc setBuffer:output offset:0 atIndex:3];
  [enc setBytes:&args length:sizeof(args) atIndex:4];
  [enc dispatchThreads:MTLSizeMake(args.out, args.rows, 1)
      threadsPerThreadgroup:MTLSizeMake(16, 16, 1)];
  [enc endEncoding];
  [cmd commit];
  [cmd waitUntilCompleted];
}

- (void)attention {
  const uint32_t shape[] = {kBatch, kLength, kHeads, kWidth};
  id<MTLCommandBuffer> cmd = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cmd computeCommandEncoder];
  [enc setComputePipelineState:_kernels[@"attention"]];
  [enc setBuffer:_q offset:0 atIndex:0];
  [enc setBuffer:_k offset:0 atIndex:1];
  [enc setBuffer:_v offset:0 atIndex:2];
  [enc setBuffer:_mixed offset:0 atIndex:3];
  [enc setBytes:shape length:sizeof(shape) atIndex:4];
  [enc dispatchThreadgroups:MTLSizeMake(kLength, kHeads, kBatch)
      threadsPerThreadgroup:MTLSizeMake(kWidth / kHeads, 1, 1)];
  [enc endEncoding];
  [cmd commit];
  [cmd waitUntilCompleted];
}

- (void)forward {
  const LinearArgs square = {kRows, kWidth, kWidth, 0, 0};
  const LinearArgs add = {kRows, kWidth, kWidth, 0, 1};
  const LinearArgs up = {kRows, kWidth, kHidden, 1, 0};
  const LinearArgs down = {kRows, kHidden, kWidth, 0, 1};
  const LinearArgs head = {kRows, kWidth, kVocab, 0, 0};
  [self embed];
  [self norm:_x weight:kNorm1 to:_normed];
  [self linear:_normed weight:kWq residual:nil to:_q args:square];
  [self linear:_normed weight:kWk residual:nil to:_k args:square];
  [self linear:_normed weight:kWv residual:nil to:_v args:square];
  [self attention];
  [self linear:_mixed weight:kWo residual:_x to:_afterAttention args:add];
  [self norm:_afterAttention weight:kNorm2 to:_normed2];
  [self linear:_normed2 weight:kUp residual:nil to:_hidden args:up];
  [self linear:_hidden weight:kDown residual:_afterAttention to:_y args:down];
  [self linear:_y weight:kHead residual:nil to:_logits args:head];
}

// Loss and backward.

- (void)loss {
  id<MTLCommandBuffer> cmd = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cmd computeCommandEncoder];
  [enc setComputePipelineState:_kernels[@"cross_entropy"]];
  [enc setBuffer:_logits offset:0 atIndex:0];
  [enc setBuffer:_targets offset:0 atIndex:1];
  [enc setBuffer:_loss offset:0 atIndex:2];
  [enc setBuffer:_dLogits offset:0 atIndex:3];
  [enc dispatchThreadgroups:MTLSizeMake(kRows, 1, 1) threadsPerThreadgroup:MTLSizeMake(64, 1, 1)];
  [enc endEncoding];
  [cmd commit];
  [cmd waitUntilCompleted];
}

- (void)backward {
  const MTLSize grid = MTLSizeMake(kRows, 1, 1), group = MTLSizeMake(128, 1, 1);

  // Head and feed-forward.
  id<MTLCommandBuffer> upper = [_queue commandBuffer];
  id<MTLBlitCommandEncoder> blit = [upper blitCommandEncoder];
  [blit fillBuffer:_gradients range:NSMakeRange(0, kWeights * sizeof(float)) value:0];
  [blit endEncoding];
  id<MTLComputeCommandEncoder> enc = [upper computeCommandEncoder];
  [enc setComputePipelineState:_kernels[@"head_backward"]];
  [enc setBuffer:_dLogits offset:0 atIndex:0];
  [enc setBuffer:_y offset:0 atIndex:1];
  [enc setBuffer:_weights offset:0 atIndex:2];
  [enc setBuffer:_gradients offset:0 atIndex:3];
  [enc setBuffer:_dY offset:0 atIndex:4];
  [enc dispatchThreadgroups:grid threadsPerThreadgroup:group];
  [enc setComputePipelineState:_kernels[@"feed_forward_backward"]];
  [enc setBuffer:_dY offset:0 atIndex:0];
  [enc setBuffer:_hidden offset:0 atIndex:1];
  [enc setBuffer:_normed2 offset:0 atIndex:4];
  [enc setBuffer:_dAttention offset:0 atIndex:5];
  [enc dispatchThreadgroups:grid threadsPerThreadgroup:group];
  [enc endEncoding];
  [upper commit];
  [upper waitUntilCompleted];

  // Attention, with its norm and its four projections.
  id<MTLCommandBuffer> middle = [_queue commandBuffer];
  enc = [middle computeCommandEncoder];
  [enc setComputePipelineState:_kernels[@"attention_backward"]];
  [enc setBuffer:_dAttention offset:0 atIndex:0];
  [enc setBuffer:_q offset:0 atIndex:1];
  [enc setBuffer:_k offset:0 atIndex:2];
  [enc setBuffer:_v offset:0 atIndex:3];
  [enc setBuffer:_normed offset:0 atIndex:4];
  [enc setBuffer:_weights offset:0 atIndex:5];
  [enc setBuffer:_gradients offset:0 atIndex:6];
  [enc setBuffer:_dX offset:0 atIndex:7];
  [enc dispatchThreadgroups:grid threadsPerThreadgroup:group];
  [enc endEncoding];
  [middle commit];
  [middle waitUntilCompleted];

  // Embedding: rows of one token add up.
  id<MTLCommandBuffer> lower = [_queue commandBuffer];
  enc = [lower computeCommandEncoder];
  [enc setComputePipelineState:_kernels[@"embed_backward"]];
  [enc setBuffer:_dX offset:0 atIndex:0];
  [enc setBuffer:_tokens offset:0 atIndex:1];
  [enc setBuffer:_gradients offset:0 atIndex:2];
  [enc dispatchThreadgroups:grid threadsPerThreadgroup:group];
  [enc endEncoding];
  [lower commit];
  [lower waitUntilCompleted];
}

- (void)adamW {
  ++_step;
  AdamArgs args = {kWeights, 3e-4f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.0f, 0.0f};
  args.correction1 = 1.0f - std::pow(args.beta1, (float)_step);
  args.correction2 = 1.0f - std::pow(args.beta2, (float)_step);
  id<MTLCommandBuffer> cmd = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cmd computeCommandEncoder];
  [enc setComputePipelineState:_kernels[@"adamw"]];
  [enc setBuffer:_weights offset:0 atIndex:0];
  [enc setBuffer:_gradients offset:0 atIndex:1];
  [enc setBuffer:_moment1 offset:0 atIndex:2];
  [enc setBuffer:_moment2 offset:0 atIndex:3];
  [enc setBytes:&args length:sizeof(args) atIndex:4];
  [enc dispatchThreads:MTLSizeMake(kWeights, 1, 1) threadsPerThreadgroup:MTLSizeMake(256, 1, 1)];
  [enc endEncoding];
  [cmd commit];
  [cmd waitUntilCompleted];
}

- (float)trainStep:(const std::vector<int32_t>&)tokens
           targets:(const std::vector<int32_t>&)targets {
  memcpy(_tokens.contents, tokens.data(), kRows * sizeof(int32_t));
  memcpy(_targets.contents, targets.data(), kRows * sizeof(int32_t));
  [self forward];
  [self loss];
  [self backward];
  [self adamW];

  const float* loss = (const float*)_loss.contents;
  float sum = 0.0f;
  for (uint32_t i = 0; i < kRows; ++i) sum += loss[i];
  return sum / kRows;
}

// Greedy, from the first row of the batch; the others are computed for nothing.
- (std::string)generate:(const std::string&)prompt count:(int)count {
  std::string text = prompt;
  for (int i = 0; i < count; ++i) {
    const size_t used = std::min<size_t>(text.size(), kLength);
    int32_t* tokens = (int32_t*)_tokens.contents;
    for (size_t t = 0; t < used; ++t) tokens[t] = (uint8_t)text[text.size() - used + t];
    [self forward];

    id<MTLCommandBuffer> cmd = [_queue commandBuffer];
    id<MTLComputeCommandEncoder> enc = [cmd computeCommandEncoder];
    [enc setComputePipelineState:_kernels[@"argmax"]];
    [enc setBuffer:_logits offset:(used - 1) * kVocab * sizeof(float) atIndex:0];
    [enc setBuffer:_next offset:0 atIndex:1];
    [enc dispatchThreads:MTLSizeMake(kVocab, 1, 1) threadsPerThreadgroup:MTLSizeMake(kVocab, 1, 1)];
    [enc endEncoding];
    [cmd commit];
    [cmd waitUntilCompleted];
    text.push_back((char)*(const int32_t*)_next.contents);
  }
  return text;
}

@end

int main(int argc, const char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s FILE [STEPS]\n", argv[0]);
    return 2;
  }
  const int steps = argc > 2 ? atoi(argv[2]) : 1000;

  @autoreleasepool {
    NSData* data = [NSData dataWithContentsOfFile:[NSString stringWithUTF8String:argv[1]]];
    if (data.length <= kLength + 1) {
      fprintf(stderr, "%s: missing or too short\n", argv[1]);
      return 1;
    }
    const uint8_t* text = (const uint8_t*)data.bytes;
    Trainer* trainer = [[Trainer alloc] initWithDevice:MTLCreateSystemDefaultDevice()];
    std::mt19937 random(42);
    std::uniform_int_distribution<size_t> start(0, data.length - kLength - 1);
    std::vector<int32_t> tokens(kRows), targets(kRows);
    double began = CFAbsoluteTimeGetCurrent();
    for (int step = 1; step <= steps; ++step) {
      for (uint32_t row = 0; row < kBatch; ++row) {
        const size_t from = start(random);
        for (uint32_t t = 0; t < kLength; ++t) {
          tokens[row * kLength + t] = text[from + t];
          targets[row * kLength + t] = text[from + t + 1];
        }
      }
      @autoreleasepool {
        const float loss = [trainer trainStep:tokens targets:targets];
        if (step % 10 == 0) {
          const double now = CFAbsoluteTimeGetCurrent();
          printf("step %4d  loss %.4f  %.1f ms a step\n", step, loss, (now - began) * 100.0);
          began = now;
        }
      }
    }
    printf("%s\n", [trainer generate:"The " count:200].c_str());
  }
  return 0;
}
