// An image classifier without ARC: retain and release by hand, the way forward in one command
// buffer, the way back with one for each operation, images shifted at random before each step.
#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

static const char* const kShaders = R"MSL(
#include <metal_stdlib>
using namespace metal;

kernel void shift_image(device const float* pixels [[buffer(0)]],
                        device const float* moves [[buffer(1)]],
                        device float* out [[buffer(2)]],
                        constant uint& count [[buffer(3)]],
                        constant uint& side [[buffer(4)]],
                        uint i [[thread_position_in_grid]]) {
  uint image = i / (side * side);
  if (i >= count) return;
  int y = int((i / side) % side) + int(moves[2 * image]);
  int x = int(i % side) + int(moves[2 * image + 1]);
  bool inside = x >= 0 && y >= 0 && x < int(side) && y < int(side);
  out[i] = inside ? pixels[image * side * side + y * side + x] : 0;
}

kernel void filter_image(device const float* in [[buffer(0)]],
                         device const float* weights [[buffer(1)]],
                         device const float* bias [[buffer(2)]],
                         device float* out [[buffer(3)]],
                         constant uint& batch [[buffer(4)]],
                         constant uint& from [[buffer(5)]],
                         constant uint& to [[buffer(6)]],
                         constant uint& side [[buffer(7)]],
                         uint i [[thread_position_in_grid]]) {
  uint pixel = i % (side * side);
  uint channel = (i / (side * side)) % to;
  uint image = i / (side * side * to);
  if (image >= batch) return;
  float sum = bias[channel];
  for (uint c = 0; c < from; ++c) {
    for (uint tap = 0; tap < 9; ++tap) {
      int y = int(pixel / side) + int(tap / 3) - 1;
      int x = int(pixel % side) + int(tap % 3) - 1;
      if (x < 0 || y < 0 || x >= int(side) || y >= int(side)) continue;
      sum += in[((image * from + c) * side + y) * side + x] * weights[(channel * from + c) * 9 + tap];
    }
  }
  out[i] = max(sum, 0.0f);
}

kernel void pool_image(device const float* in [[buffer(0)]],
                       device float* out [[buffer(1)]],
                       device float* places [[buffer(2)]],
                       constant uint& count [[buffer(3)]],
                       constant uint& side [[buffer(4)]],
                       uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  uint half_side = side / 2;
  uint at = (i / half_side) * 2 * side + (i % half_side) * 2;
  uint best = at;
  if (in[at + 1] > in[best]) best = at + 1;
  if (in[at + side] > in[best]) best = at + side;
  if (in[at + side + 1] > in[best]) best = at + side + 1;
  out[i] = in[best];
  places[i] = as_type<float>(best);
}

kernel void full_layer(device const float* in [[buffer(0)]],
                       device const float* weights [[buffer(1)]],
                       device const float* bias [[buffer(2)]],
                       device float* out [[buffer(3)]],
                       constant uint& batch [[buffer(4)]],
                       constant uint& inner [[buffer(5)]],
                       constant uint& width [[buffer(6)]],
                       uint i [[thread_position_in_grid]]) {
  uint row = i / width;
  if (row >= batch) return;
  float sum = bias[i % width];
  for (uint k = 0; k < inner; ++k) sum += in[row * inner + k] * weights[(i % width) * inner + k];
  out[i] = sum;
}

kernel void smooth_labels(device const float* scores [[buffer(0)]],
                          device const float* labels [[buffer(1)]],
                          device float* grad [[buffer(2)]],
                          device float* losses [[buffer(3)]],
                          device float* hits [[buffer(4)]],
                          constant uint& batch [[buffer(5)]],
                          constant uint& classes [[buffer(6)]],
                          constant float& smoothing [[buffer(7)]],
                          uint i [[thread_position_in_grid]]) {
  if (i >= batch) return;
  float peak = scores[i * classes];
  uint best = 0;
  for (uint c = 1; c < classes; ++c) {
    if (scores[i * classes + c] > peak) best = c;
    peak = max(peak, scores[i * classes + c]);
  }
  float sum = 0;
  for (uint c = 0; c < classes; ++c) sum += exp(scores[i * classes + c] - peak);
  uint right = as_type<uint>(labels[i]);
  losses[i] = log(sum) + peak - scores[i * classes + right];
  hits[i] = best == right ? 1.0f : 0.0f;
  for (uint c = 0; c < classes; ++c) {
    float goal = smoothing / classes + (c == right ? 1 - smoothing : 0.0f);
    grad[i * classes + c] = (exp(scores[i * classes + c] - peak) / sum - goal) / batch;
  }
}

kernel void full_back_in(device const float* grad [[buffer(0)]],
                         device const float* weights [[buffer(1)]],
                         device float* out [[buffer(2)]],
                         constant uint& batch [[buffer(3)]],
                         constant uint& inner [[buffer(4)]],
                         constant uint& width [[buffer(5)]],
                         uint i [[thread_position_in_grid]]) {
  uint row = i / inner;
  if (row >= batch) return;
  float sum = 0;
  for (uint c = 0; c < width; ++c) sum += grad[row * width + c] * weights[c * inner + i % inner];
  out[i] = sum;
}

kernel void full_back_weights(device const float* grad [[buffer(0)]],
                              device const float* in [[buffer(1)]],
                              device float* out [[buffer(2)]],
                              device float* out_bias [[buffer(3)]],
                              constant uint& batch [[buffer(4)]],
                              constant uint& inner [[buffer(5)]],
                              constant uint& width [[buffer(6)]],
                              uint i [[thread_position_in_grid]]) {
  uint to = i / inner;
  if (to >= width) return;
  float sum = 0;
  float all = 0;
  for (uint row = 0; row < batch; ++row) {
    sum += grad[row * width + to] * in[row * inner + i % inner];
    all += grad[row * width + to];
  }
  out[i] = sum;
  if (i % inner == 0) out_bias[to] = all;
}

kernel void pool_back(device const float* grad [[buffer(0)]],
                      device const float* places [[buffer(1)]],
                      device float* out [[buffer(2)]],
                      constant uint& count [[buffer(3)]],
                      uint i [[thread_position_in_grid]]) {
  if (i < count) out[as_type<uint>(places[i])] = grad[i];
}

kernel void relu_back(device const float* out [[buffer(0)]],
                      device float* grad [[buffer(1)]],
                      constant uint& count [[buffer(2)]],
                      uint i [[thread_position_in_grid]]) {
  if (i < count && out[i] <= 0) grad[i] = 0;
}

kernel void filter_back_in(device const float* grad [[buffer(0)]],
                           device const float* weights [[buffer(1)]],
                           device float* out [[buffer(2)]],
                           constant uint& batch [[buffer(3)]],
                           constant uint& from [[buffer(4)]],
                           constant uint& to [[buffer(5)]],
                           constant uint& side [[buffer(6)]],
                           uint i [[thread_position_in_grid]]) {
  uint pixel = i % (side * side);
  uint channel = (i / (side * side)) % from;
  uint image = i / (side * side * from);
  if (image >= batch) return;
  float sum = 0;
  for (uint c = 0; c < to; ++c) {
    for (uint tap = 0; tap < 9; ++tap) {
      int y = int(pixel / side) - int(tap / 3) + 1;
      int x = int(pixel % side) - int(tap % 3) + 1;
      if (x < 0 || y < 0 || x >= int(side) || y >= int(side)) continue;
      sum += grad[((image * to + c) * side + y) * side + x] * weights[(c * from + channel) * 9 + tap];
    }
  }
  out[i] = sum;
}

kernel void filter_back_weights(device const float* grad [[buffer(0)]],
                                device const float* in [[buffer(1)]],
                                device float* out [[buffer(2)]],
                                device float* out_bias [[buffer(3)]],
                                constant uint& batch [[buffer(4)]],
                                constant uint& from [[buffer(5)]],
                                constant uint& to [[buffer(6)]],
                                constant uint& side [[buffer(7)]],
                                uint i [[thread_position_in_grid]]) {
  uint tap = i % 9;
  uint channel = (i / 9) % from;
  uint goal = i / 9 / from;
  if (goal >= to) return;
  float sum = 0;
  float all = 0;
  for (uint image = 0; image < batch; ++image) {
    for (uint p = 0; p < side * side; ++p) {
      int y = int(p / side) + int(tap / 3) - 1;
      int x = int(p % side) + int(tap % 3) - 1;
      float g = grad[(image * to + goal) * side * side + p];
      all += g;
      if (x >= 0 && y >= 0 && x < int(side) && y < int(side)) sum += g * in[((image * from + channel) * side + y) * side + x];
    }
  }
  out[i] = sum;
  if (tap == 0 && channel == 0) out_bias[goal] = all;
}

kernel void nesterov(device float* value [[buffer(0)]],
                     device const float* grad [[buffer(1)]],
                     device float* speed [[buffer(2)]],
                     constant uint& count [[buffer(3)]],
                     constant float& rate [[buffer(4)]],
                     constant float& friction [[buffer(5)]],
                     uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  float before = speed[i];
  speed[i] = friction * speed[i] - rate * grad[i];
  value[i] += (1 + friction) * speed[i] - friction * before;
}

kernel void zero_out(device float* x [[buffer(0)]],
                     constant uint& count [[buffer(1)]],
                     uint i [[thread_position_in_grid]]) {
  if (i < count) x[i] = 0;
}

kernel void add_up(device const float* values [[buffer(0)]],
                   device float* total [[buffer(1)]],
                   constant uint& count [[buffer(2)]],
                   uint i [[thread_position_in_grid]]) {
  if (i != 0) return;
  float sum = 0;
  for (uint k = 0; k < count; ++k) sum += values[k];
  total[0] = sum;
}
)MSL";

enum Kernel {
  kShiftImage,
  kFilterImage,
  kPoolImage,
  kFullLayer,
  kSmoothLabels,
  kFullBackIn,
  kFullBackWeights,
  kPoolBack,
  kReluBack,
  kFilterBackIn,
  kFilterBackWeights,
  kNesterov,
  kZeroOut,
  kAddUp,
  kKernels
};
static const char* const kNames[kKernels] = {
    "shift_image",         "filter_image",      "pool_image", "full_layer", "smooth_labels",
    "full_back_in",        "full_back_weights", "pool_back",  "relu_back",  "filter_back_in",
    "filter_back_weights", "nesterov",          "zero_out",   "add_up"};

enum {
  kSide = 16,
  kBatch = 32,
  kClasses = 4,
  kFirst = 8,
  kSecond = 16,
  kInner = kSecond * 16,
  kImages = 512
};

/// The operations. Those that take a command buffer only record.
@interface Compute : NSObject {
  id<MTLDevice> _metal;
  id<MTLCommandQueue> _queue;
  id<MTLComputePipelineState> _states[kKernels];
}
- (BOOL)open;
- (id<MTLBuffer>)newFloats:(uint32_t)count;
- (id<MTLCommandBuffer>)commands;
@end

@implementation Compute

- (BOOL)open {
  _metal = MTLCreateSystemDefaultDevice();
  _queue = [_metal newCommandQueue];
  NSError* error = nil;
  NSString* source = [[NSString alloc] initWithFormat:@"%s", kShaders];
  id<MTLLibrary> library = [_metal newLibraryWithSource:source options:nil error:&error];
  [source release];
  if (library == nil) {
    NSLog(@"shaders do not compile: %@", error);
    return NO;
  }
  for (int i = 0; i < kKernels; ++i) {
    NSString* name = [[NSString alloc] initWithFormat:@"%s", kNames[i]];
    id<MTLFunction> function = [library newFunctionWithName:name];
    _states[i] = [_metal newComputePipelineStateWithFunction:function error:&error];
    [function release];
    [name release];
  }
  [library release];
  return YES;
}

- (void)dealloc {
  for (int i = 0; i < kKernels; ++i) [_states[i] release];
  [_queue release];
  [_metal release];
  [super dealloc];
}

- (id<MTLBuffer>)newFloats:(uint32_t)count {
  return [_metal newBufferWithLength:count * sizeof(float) options:MTLResourceStorageModeShared];
}

- (id<MTLCommandBuffer>)commands {
  return [_queue commandBuffer];
}

- (void)shiftImage:(id<MTLCommandBuffer>)work
            pixels:(id<MTLBuffer>)pixels
             moves:(id<MTLBuffer>)moves
               out:(id<MTLBuffer>)out
             count:(uint32_t)count
              side:(uint32_t)side {
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kShiftImage]];
  [encoder setBuffer:pixels offset:0 atIndex:0];
  [encoder setBuffer:moves offset:0 atIndex:1];
  [encoder setBuffer:out offset:0 atIndex:2];
  [encoder setBytes:&count length:sizeof(count) atIndex:3];
  [encoder setBytes:&side length:sizeof(side) atIndex:4];
  [encoder dispatchThreads:MTLSizeMake(count, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
}

- (void)filterImage:(id<MTLCommandBuffer>)work
                 in:(id<MTLBuffer>)in
            weights:(id<MTLBuffer>)weights
               bias:(id<MTLBuffer>)bias
                out:(id<MTLBuffer>)out
              batch:(uint32_t)batch
               from:(uint32_t)from
                 to:(uint32_t)to
               side:(uint32_t)side {
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kFilterImage]];
  [encoder setBuffer:in offset:0 atIndex:0];
  [encoder setBuffer:weights offset:0 atIndex:1];
  [encoder setBuffer:bias offset:0 atIndex:2];
  [encoder setBuffer:out offset:0 atIndex:3];
  [encoder setBytes:&batch length:sizeof(batch) atIndex:4];
  [encoder setBytes:&from length:sizeof(from) atIndex:5];
  [encoder setBytes:&to length:sizeof(to) atIndex:6];
  [encoder setBytes:&side length:sizeof(side) atIndex:7];
  [encoder dispatchThreads:MTLSizeMake(batch * to * side * side, 1, 1)
      threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
}

- (void)poolImage:(id<MTLCommandBuffer>)work
               in:(id<MTLBuffer>)in
              out:(id<MTLBuffer>)out
           places:(id<MTLBuffer>)places
            count:(uint32_t)count
             side:(uint32_t)side {
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kPoolImage]];
  [encoder setBuffer:in offset:0 atIndex:0];
  [encoder setBuffer:out offset:0 atIndex:1];
  [encoder setBuffer:places offset:0 atIndex:2];
  [encoder setBytes:&count length:sizeof(count) atIndex:3];
  [encoder setBytes:&side length:sizeof(side) atIndex:4];
  [encoder dispatchThreads:MTLSizeMake(count, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
}

- (void)fullLayer:(id<MTLCommandBuffer>)work
               in:(id<MTLBuffer>)in
          weights:(id<MTLBuffer>)weights
             bias:(id<MTLBuffer>)bias
              out:(id<MTLBuffer>)out
            batch:(uint32_t)batch
            inner:(uint32_t)inner
            width:(uint32_t)width {
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kFullLayer]];
  [encoder setBuffer:in offset:0 atIndex:0];
  [encoder setBuffer:weights offset:0 atIndex:1];
  [encoder setBuffer:bias offset:0 atIndex:2];
  [encoder setBuffer:out offset:0 atIndex:3];
  [encoder setBytes:&batch length:sizeof(batch) atIndex:4];
  [encoder setBytes:&inner length:sizeof(inner) atIndex:5];
  [encoder setBytes:&width length:sizeof(width) atIndex:6];
  [encoder dispatchThreads:MTLSizeMake(batch * width, 1, 1)
      threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
}

- (void)smoothLabels:(id<MTLCommandBuffer>)work
              scores:(id<MTLBuffer>)scores
              labels:(id<MTLBuffer>)labels
                grad:(id<MTLBuffer>)grad
              losses:(id<MTLBuffer>)losses
                hits:(id<MTLBuffer>)hits
               batch:(uint32_t)batch
             classes:(uint32_t)classes
           smoothing:(float)smoothing {
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kSmoothLabels]];
  [encoder setBuffer:scores offset:0 atIndex:0];
  [encoder setBuffer:labels offset:0 atIndex:1];
  [encoder setBuffer:grad offset:0 atIndex:2];
  [encoder setBuffer:losses offset:0 atIndex:3];
  [encoder setBuffer:hits offset:0 atIndex:4];
  [encoder setBytes:&batch length:sizeof(batch) atIndex:5];
  [encoder setBytes:&classes length:sizeof(classes) atIndex:6];
  [encoder setBytes:&smoothing length:sizeof(smoothing) atIndex:7];
  [encoder dispatchThreads:MTLSizeMake(batch, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
}

- (void)fullBackIn:(id<MTLBuffer>)grad
           weights:(id<MTLBuffer>)weights
               out:(id<MTLBuffer>)out
             batch:(uint32_t)batch
             inner:(uint32_t)inner
             width:(uint32_t)width {
  id<MTLCommandBuffer> work = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kFullBackIn]];
  [encoder setBuffer:grad offset:0 atIndex:0];
  [encoder setBuffer:weights offset:0 atIndex:1];
  [encoder setBuffer:out offset:0 atIndex:2];
  [encoder setBytes:&batch length:sizeof(batch) atIndex:3];
  [encoder setBytes:&inner length:sizeof(inner) atIndex:4];
  [encoder setBytes:&width length:sizeof(width) atIndex:5];
  [encoder dispatchThreads:MTLSizeMake(batch * inner, 1, 1)
      threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
  [work commit];
  [work waitUntilCompleted];  // expect: redundant
}

- (void)fullBackWeights:(id<MTLBuffer>)grad
                     in:(id<MTLBuffer>)in
                    out:(id<MTLBuffer>)out
                outBias:(id<MTLBuffer>)out_bias
                  batch:(uint32_t)batch
                  inner:(uint32_t)inner
                  width:(uint32_t)width {
  id<MTLCommandBuffer> work = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kFullBackWeights]];
  [encoder setBuffer:grad offset:0 atIndex:0];
  [encoder setBuffer:in offset:0 atIndex:1];
  [encoder setBuffer:out offset:0 atIndex:2];
  [encoder setBuffer:out_bias offset:0 atIndex:3];
  [encoder setBytes:&batch length:sizeof(batch) atIndex:4];
  [encoder setBytes:&inner length:sizeof(inner) atIndex:5];
  [encoder setBytes:&width length:sizeof(width) atIndex:6];
  [encoder dispatchThreads:MTLSizeMake(inner * width, 1, 1)
      threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
  [work commit];
  [work waitUntilCompleted];  // expect: redundant
}

- (void)poolBack:(id<MTLBuffer>)grad
          places:(id<MTLBuffer>)places
             out:(id<MTLBuffer>)out
           count:(uint32_t)count {
  id<MTLCommandBuffer> work = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kPoolBack]];
  [encoder setBuffer:grad offset:0 atIndex:0];
  [encoder setBuffer:places offset:0 atIndex:1];
  [encoder setBuffer:out offset:0 atIndex:2];
  [encoder setBytes:&count length:sizeof(count) atIndex:3];
  [encoder dispatchThreads:MTLSizeMake(count, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
  [work commit];
  [work waitUntilCompleted];  // expect: redundant
}

- (void)reluBack:(id<MTLBuffer>)out grad:(id<MTLBuffer>)grad count:(uint32_t)count {
  id<MTLCommandBuffer> work = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kReluBack]];
  [encoder setBuffer:out offset:0 atIndex:0];
  [encoder setBuffer:grad offset:0 atIndex:1];
  [encoder setBytes:&count length:sizeof(count) atIndex:2];
  [encoder dispatchThreads:MTLSizeMake(count, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
  [work commit];
  [work waitUntilCompleted];  // expect: redundant
}

- (void)filterBackIn:(id<MTLBuffer>)grad
             weights:(id<MTLBuffer>)weights
                 out:(id<MTLBuffer>)out
               batch:(uint32_t)batch
                from:(uint32_t)from
                  to:(uint32_t)to
                side:(uint32_t)side {
  id<MTLCommandBuffer> work = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kFilterBackIn]];
  [encoder setBuffer:grad offset:0 atIndex:0];
  [encoder setBuffer:weights offset:0 atIndex:1];
  [encoder setBuffer:out offset:0 atIndex:2];
  [encoder setBytes:&batch length:sizeof(batch) atIndex:3];
  [encoder setBytes:&from length:sizeof(from) atIndex:4];
  [encoder setBytes:&to length:sizeof(to) atIndex:5];
  [encoder setBytes:&side length:sizeof(side) atIndex:6];
  [encoder dispatchThreads:MTLSizeMake(batch * from * side * side, 1, 1)
      threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
  [work commit];
  [work waitUntilCompleted];  // expect: redundant
}

- (void)filterBackWeights:(id<MTLBuffer>)grad
                       in:(id<MTLBuffer>)in
                      out:(id<MTLBuffer>)out
                  outBias:(id<MTLBuffer>)out_bias
                    batch:(uint32_t)batch
                     from:(uint32_t)from
                       to:(uint32_t)to
                     side:(uint32_t)side {
  id<MTLCommandBuffer> work = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kFilterBackWeights]];
  [encoder setBuffer:grad offset:0 atIndex:0];
  [encoder setBuffer:in offset:0 atIndex:1];
  [encoder setBuffer:out offset:0 atIndex:2];
  [encoder setBuffer:out_bias offset:0 atIndex:3];
  [encoder setBytes:&batch length:sizeof(batch) atIndex:4];
  [encoder setBytes:&from length:sizeof(from) atIndex:5];
  [encoder setBytes:&to length:sizeof(to) atIndex:6];
  [encoder setBytes:&side length:sizeof(side) atIndex:7];
  [encoder dispatchThreads:MTLSizeMake(9 * from * to, 1, 1)
      threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
  [work commit];
  [work waitUntilCompleted];  // expect: redundant
}

- (void)nesterov:(id<MTLBuffer>)value
            grad:(id<MTLBuffer>)grad
           speed:(id<MTLBuffer>)speed
           count:(uint32_t)count
            rate:(float)rate
        friction:(float)friction {
  id<MTLCommandBuffer> work = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kNesterov]];
  [encoder setBuffer:value offset:0 atIndex:0];
  [encoder setBuffer:grad offset:0 atIndex:1];
  [encoder setBuffer:speed offset:0 atIndex:2];
  [encoder setBytes:&count length:sizeof(count) atIndex:3];
  [encoder setBytes:&rate length:sizeof(rate) atIndex:4];
  [encoder setBytes:&friction length:sizeof(friction) atIndex:5];
  [encoder dispatchThreads:MTLSizeMake(count, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
  [work commit];
  [work waitUntilCompleted];  // expect: redundant
}

- (void)zeroOut:(id<MTLBuffer>)x count:(uint32_t)count {
  id<MTLCommandBuffer> work = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kZeroOut]];
  [encoder setBuffer:x offset:0 atIndex:0];
  [encoder setBytes:&count length:sizeof(count) atIndex:1];
  [encoder dispatchThreads:MTLSizeMake(count, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
  [work commit];
  [work waitUntilCompleted];  // expect: redundant
}

- (void)addUp:(id<MTLCommandBuffer>)work
       values:(id<MTLBuffer>)values
        total:(id<MTLBuffer>)total
        count:(uint32_t)count {
  id<MTLComputeCommandEncoder> encoder = [work computeCommandEncoder];
  [encoder setComputePipelineState:_states[kAddUp]];
  [encoder setBuffer:values offset:0 atIndex:0];
  [encoder setBuffer:total offset:0 atIndex:1];
  [encoder setBytes:&count length:sizeof(count) atIndex:2];
  [encoder dispatchThreads:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
}

@end

/// Values, gradient and speed of one set of parameters.
@interface Parameter : NSObject {
 @public
  id<MTLBuffer> value;
  id<MTLBuffer> grad;
  id<MTLBuffer> speed;
  uint32_t count;
}
- (instancetype)initWith:(Compute*)device
                   count:(uint32_t)n
                  spread:(float)spread
                    seed:(uint32_t)seed;
- (void)learn:(Compute*)device rate:(float)rate;
- (BOOL)write:(FILE*)file;
- (BOOL)read:(FILE*)file;
@end

@implementation Parameter

- (instancetype)initWith:(Compute*)device
                   count:(uint32_t)n
                  spread:(float)spread
                    seed:(uint32_t)seed {
  self = [super init];
  count = n;
  value = [device newFloats:n];
  grad = [device newFloats:n];
  speed = [device newFloats:n];
  float* values = (float*)[value contents];
  for (uint32_t i = 0; i < n; ++i) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = spread * (float(seed >> 8) / 8388608.0f - 1);
  }
  memset([speed contents], 0, n * sizeof(float));
  return self;
}

- (void)dealloc {
  [value release];
  [grad release];
  [speed release];
  [super dealloc];
}

- (void)learn:(Compute*)device rate:(float)rate {
  [device nesterov:value grad:grad speed:speed count:count rate:rate friction:0.9f];
}

- (BOOL)write:(FILE*)file {
  return fwrite([value contents], sizeof(float), count, file) == count;
}

- (BOOL)read:(FILE*)file {
  return fread([value contents], sizeof(float), count, file) == count;
}

@end

/// Shapes drawn by rule: a disc, a frame, a cross, stripes.
struct Images {
  float pixels[kImages * kSide * kSide];
  uint32_t labels[kImages];

  void draw() {
    uint32_t seed = 31;
    for (int n = 0; n < kImages; ++n) {
      seed = seed * 1664525u + 1013904223u;
      labels[n] = seed >> 30;
      const int middle = 6 + int((seed >> 20) % 4);
      for (int y = 0; y < kSide; ++y) {
        for (int x = 0; x < kSide; ++x) {
          const int dx = x - middle;
          const int dy = y - middle;
          bool on = false;
          if (labels[n] == 0) on = dx * dx + dy * dy < 16;
          if (labels[n] == 1) on = std::abs(dx) == 4 || std::abs(dy) == 4;
          if (labels[n] == 2) on = dx == dy || dx == -dy;
          if (labels[n] == 3) on = (x + middle) % 3 == 0;
          seed = seed * 1664525u + 1013904223u;
          const float noise = float(seed >> 8) / 16777216.0f * 0.4f;
          pixels[(n * kSide + y) * kSide + x] = (on ? 0.8f : 0.0f) + noise;
        }
      }
    }
  }
};

/// Rows: what was right. Columns: what was said.
struct Confusion {
  int counts[kClasses][kClasses];
  void clear() { memset(counts, 0, sizeof(counts)); }
  void add(uint32_t right, const float* scores) {
    int best = 0;
    for (int c = 1; c < kClasses; ++c) {
      if (scores[c] > scores[best]) best = c;
    }
    ++counts[right % kClasses][best];
  }
  void print() const {
    for (int row = 0; row < kClasses; ++row) {
      for (int column = 0; column < kClasses; ++column) printf("%5d", counts[row][column]);
      printf("\n");
    }
  }
};

@interface Classifier : NSObject {
  Compute* _device;
  Parameter* _filter1;
  Parameter* _bias1;
  Parameter* _filter2;
  Parameter* _bias2;
  Parameter* _weights;
  Parameter* _bias3;
  id<MTLBuffer> _pixels;
  id<MTLBuffer> _labels;
  id<MTLBuffer> _moves;
  id<MTLBuffer> _moved;
  id<MTLBuffer> _out1;
  id<MTLBuffer> _small1;
  id<MTLBuffer> _places1;
  id<MTLBuffer> _out2;
  id<MTLBuffer> _small2;
  id<MTLBuffer> _places2;
  id<MTLBuffer> _scores;
  id<MTLBuffer> _losses;
  id<MTLBuffer> _hits;
  id<MTLBuffer> _total;
  id<MTLBuffer> _gradScores;
  id<MTLBuffer> _gradSmall2;
  id<MTLBuffer> _gradOut2;
  id<MTLBuffer> _gradSmall1;
  id<MTLBuffer> _gradOut1;
  const float* _lossValues;
  uint32_t _random;
}
- (instancetype)initWithDevice:(Compute*)device;
- (float)step:(const Images*)images number:(int)number rate:(float)rate;
- (float)evaluate:(const Images*)images confusion:(Confusion*)confusion;
- (void)occlude:(const Images*)images image:(int)number drops:(float*)drops;
- (void)printFilter:(int)number;
- (BOOL)save:(const char*)path;
- (BOOL)load:(const char*)path;
@end

@implementation Classifier

- (instancetype)initWithDevice:(Compute*)device {
  self = [super init];
  _device = [device retain];
  _random = 77;
  const uint32_t plane = kSide * kSide;
  _filter1 = [[Parameter alloc] initWith:device count:9 * kFirst spread:0.3f seed:1];
  _bias1 = [[Parameter alloc] initWith:device count:kFirst spread:0.0f seed:2];
  _filter2 = [[Parameter alloc] initWith:device count:9 * kFirst * kSecond spread:0.1f seed:3];
  _bias2 = [[Parameter alloc] initWith:device count:kSecond spread:0.0f seed:4];
  _weights = [[Parameter alloc] initWith:device count:kInner * kClasses spread:0.05f seed:5];
  _bias3 = [[Parameter alloc] initWith:device count:kClasses spread:0.0f seed:6];
  _pixels = [device newFloats:kBatch * plane];
  _labels = [device newFloats:kBatch];
  _moves = [device newFloats:2 * kBatch];
  _moved = [device newFloats:kBatch * plane];
  _out1 = [device newFloats:kBatch * kFirst * plane];
  _small1 = [device newFloats:kBatch * kFirst * plane / 4];
  _places1 = [device newFloats:kBatch * kFirst * plane / 4];
  _out2 = [device newFloats:kBatch * kSecond * plane / 4];
  _small2 = [device newFloats:kBatch * kInner];
  _places2 = [device newFloats:kBatch * kInner];
  _scores = [device newFloats:kBatch * kClasses];
  _losses = [device newFloats:kBatch];
  _hits = [device newFloats:kBatch];
  _total = [device newFloats:1];
  _gradScores = [device newFloats:kBatch * kClasses];
  _gradSmall2 = [device newFloats:kBatch * kInner];
  _gradOut2 = [device newFloats:kBatch * kSecond * plane / 4];
  _gradSmall1 = [device newFloats:kBatch * kFirst * plane / 4];
  _gradOut1 = [device newFloats:kBatch * kFirst * plane];
  _lossValues = (const float*)[_losses contents];
  return self;
}

- (void)dealloc {
  [_filter1 release];
  [_bias1 release];
  [_filter2 release];
  [_bias2 release];
  [_weights release];
  [_bias3 release];
  [_pixels release];
  [_labels release];
  [_moves release];
  [_moved release];
  [_out1 release];
  [_small1 release];
  [_places1 release];
  [_out2 release];
  [_small2 release];
  [_places2 release];
  [_scores release];
  [_losses release];
  [_hits release];
  [_total release];
  [_gradScores release];
  [_gradSmall2 release];
  [_gradOut2 release];
  [_gradSmall1 release];
  [_gradOut1 release];
  [_device release];
  [super dealloc];
}

- (int)move {
  _random = _random * 1664525u + 1013904223u;
  return int((_random >> 16) % 5) - 2;
}

- (void)load:(const Images*)images first:(int)first moving:(BOOL)moving {
  const uint32_t plane = kSide * kSide;
  float* pixels = (float*)[_pixels contents];
  uint32_t* labels = (uint32_t*)[_labels contents];
  float* moves = (float*)[_moves contents];
  for (int i = 0; i < kBatch; ++i) {
    const int from = (first + i) % kImages;
    memcpy(pixels + i * plane, images->pixels + from * plane, plane * sizeof(float));
    labels[i] = images->labels[from];
    moves[2 * i] = moving ? float([self move]) : 0;
    moves[2 * i + 1] = moving ? float([self move]) : 0;
  }
}

/// Everything up to the loss in one command buffer.
- (void)forward:(float)smoothing {
  const uint32_t plane = kSide * kSide;
  id<MTLCommandBuffer> work = [_device commands];
  [_device shiftImage:work pixels:_pixels moves:_moves out:_moved count:kBatch * plane side:kSide];
  [_device filterImage:work
                    in:_moved
               weights:_filter1->value
                  bias:_bias1->value
                   out:_out1
                 batch:kBatch
                  from:1
                    to:kFirst
                  side:kSide];
  [_device poolImage:work
                  in:_out1
                 out:_small1
              places:_places1
               count:kBatch * kFirst * plane / 4
                side:kSide];
  [_device filterImage:work
                    in:_small1
               weights:_filter2->value
                  bias:_bias2->value
                   out:_out2
                 batch:kBatch
                  from:kFirst
                    to:kSecond
                  side:kSide / 2];
  [_device poolImage:work
                  in:_out2
                 out:_small2
              places:_places2
               count:kBatch * kInner
                side:kSide / 2];
  [_device fullLayer:work
                  in:_small2
             weights:_weights->value
                bias:_bias3->value
                 out:_scores
               batch:kBatch
               inner:kInner
               width:kClasses];
  [_device smoothLabels:work
                 scores:_scores
                 labels:_labels
                   grad:_gradScores
                 losses:_losses
                   hits:_hits
                  batch:kBatch
                classes:kClasses
              smoothing:smoothing];
  [_device addUp:work values:_hits total:_total count:kBatch];
  [work commit];
  [work waitUntilCompleted];  // expect: required reads losses
}

- (float)meanLoss {
  float sum = 0;
  for (int i = 0; i < kBatch; ++i) sum += _lossValues[i];
  return sum / kBatch;
}

- (void)backward {
  const uint32_t plane = kSide * kSide;
  [_device fullBackWeights:_gradScores
                        in:_small2
                       out:_weights->grad
                   outBias:_bias3->grad
                     batch:kBatch
                     inner:kInner
                     width:kClasses];
  [_device fullBackIn:_gradScores
              weights:_weights->value
                  out:_gradSmall2
                batch:kBatch
                inner:kInner
                width:kClasses];
  [_device zeroOut:_gradOut2 count:kBatch * kSecond * plane / 4];
  [_device poolBack:_gradSmall2 places:_places2 out:_gradOut2 count:kBatch * kInner];
  [_device reluBack:_out2 grad:_gradOut2 count:kBatch * kSecond * plane / 4];
  [_device filterBackWeights:_gradOut2
                          in:_small1
                         out:_filter2->grad
                     outBias:_bias2->grad
                       batch:kBatch
                        from:kFirst
                          to:kSecond
                        side:kSide / 2];
  [_device filterBackIn:_gradOut2
                weights:_filter2->value
                    out:_gradSmall1
                  batch:kBatch
                   from:kFirst
                     to:kSecond
                   side:kSide / 2];
  [_device zeroOut:_gradOut1 count:kBatch * kFirst * plane];
  [_device poolBack:_gradSmall1 places:_places1 out:_gradOut1 count:kBatch * kFirst * plane / 4];
  [_device reluBack:_out1 grad:_gradOut1 count:kBatch * kFirst * plane];
  [_device filterBackWeights:_gradOut1
                          in:_moved
                         out:_filter1->grad
                     outBias:_bias1->grad
                       batch:kBatch
                        from:1
                          to:kFirst
                        side:kSide];
}

- (float)step:(const Images*)images number:(int)number rate:(float)rate {
  [self load:images first:number * kBatch % (kImages - 2 * kBatch) moving:YES];
  [self forward:0.1f];
  const float loss = [self meanLoss];
  [self backward];
  [_filter1 learn:_device rate:rate];
  [_bias1 learn:_device rate:rate];
  [_filter2 learn:_device rate:rate];
  [_bias2 learn:_device rate:rate];
  [_weights learn:_device rate:rate];
  [_bias3 learn:_device rate:rate];
  id<MTLCommandBuffer> end = [_device commands];
  id<MTLBlitCommandEncoder> blit = [end blitCommandEncoder];
  [blit fillBuffer:_moved range:NSMakeRange(0, kBatch * kSide * kSide * sizeof(float)) value:0];
  [blit endEncoding];
  [end commit];
  [end waitUntilCompleted];  // expect: required exit
  return loss;
}

- (float)evaluate:(const Images*)images confusion:(Confusion*)confusion {
  float right = 0;
  confusion->clear();
  for (int part = 0; part < 2; ++part) {
    [self load:images first:kImages - (2 - part) * kBatch moving:NO];
    [self forward:0];
    right += ((const float*)[_total contents])[0];
    const float* scores = (const float*)[_scores contents];
    const uint32_t* labels = (const uint32_t*)[_labels contents];
    for (int i = 0; i < kBatch; ++i) confusion->add(labels[i], scores + i * kClasses);
  }
  return right / (2 * kBatch);
}

/// Which part of an image matters: a grey patch goes over it, and the score of the right answer
/// falls.
- (void)occlude:(const Images*)images image:(int)number drops:(float*)drops {
  const uint32_t plane = kSide * kSide;
  float* pixels = (float*)[_pixels contents];
  const float* scores = (const float*)[_scores contents];
  const uint32_t right = images->labels[number];
  [self load:images first:number moving:NO];
  [self forward:0];
  const float whole = scores[right];
  for (int part = 0; part < 16; ++part) {
    memcpy(pixels, images->pixels + number * plane, plane * sizeof(float));
    for (int y = 0; y < 4; ++y) {
      for (int x = 0; x < 4; ++x) pixels[(part / 4 * 4 + y) * kSide + part % 4 * 4 + x] = 0.5f;
    }
    [self forward:0];
    drops[part] = whole - scores[right];
  }
}

/// A filter as a little picture.
- (void)printFilter:(int)number {
  const float* values = (const float*)[_filter1->value contents] + 9 * number;
  float most = 1e-6f;
  for (int i = 0; i < 9; ++i) most = std::fmax(most, std::fabs(values[i]));
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column) {
      const int shade = int((values[row * 3 + column] / most + 1) * 4);
      putchar(" .:-=+*#%"[shade < 0 ? 0 : shade > 8 ? 8 : shade]);
    }
    printf("\n");
  }
}

- (BOOL)save:(const char*)path {
  FILE* file = fopen(path, "wb");
  if (file == nullptr) return NO;
  const BOOL good = [_filter1 write:file] && [_bias1 write:file] && [_filter2 write:file] &&
                    [_bias2 write:file] && [_weights write:file] && [_bias3 write:file];
  fclose(file);
  return good;
}

- (BOOL)load:(const char*)path {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) return NO;
  const BOOL good = [_filter1 read:file] && [_bias1 read:file] && [_filter2 read:file] &&
                    [_bias2 read:file] && [_weights read:file] && [_bias3 read:file];
  fclose(file);
  return good;
}

@end

static Images images;

/// Says when to stop: the share of right answers has not grown for so many looks.
struct Patience {
  float best = 0;
  int looks = 0;
  bool gone(float right, int most) {
    if (right > best + 0.002f) {
      best = right;
      looks = 0;
      return false;
    }
    return ++looks >= most;
  }
};

/// Warm restarts: the rate falls along a cosine and starts again, each time for longer.
struct Schedule {
  float top = 0.05f;
  int period = 100;
  int at = 0;
  float next() {
    const float done = float(at) / float(period);
    if (++at == period) {
      at = 0;
      period *= 2;
    }
    return top * (0.05f + 0.475f * (1 + std::cos(3.14159265f * done)));
  }
};

/// The loss of the run, thinned out so that it fits a line of the terminal.
struct Curve {
  enum { kWidth = 64 };
  float sums[kWidth] = {};
  int counts[kWidth] = {};
  int each = 1;
  void add(int step, float loss) {
    while (step / each >= kWidth) {
      for (int i = 0; i < kWidth; ++i) {
        const bool inside = 2 * i + 1 < kWidth;
        sums[i] = inside ? sums[2 * i] + sums[2 * i + 1] : 0;
        counts[i] = inside ? counts[2 * i] + counts[2 * i + 1] : 0;
      }
      each *= 2;
    }
    sums[step / each] += loss;
    ++counts[step / each];
  }
  void print() const {
    const char* heights = "_.-=^";
    for (int i = 0; i < kWidth; ++i) {
      if (counts[i] == 0) continue;
      const int level = int(sums[i] / float(counts[i]) * 3);
      putchar(heights[level < 0 ? 0 : level > 4 ? 4 : level]);
    }
    printf("\n");
  }
};

static void printDrops(const float* drops) {
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 4; ++column) printf("%7.2f", drops[row * 4 + column]);
    printf("\n");
  }
}

int main(int argc, const char** argv) {
  NSAutoreleasePool* pool = [[NSAutoreleasePool alloc] init];
  const int steps = argc > 1 ? atoi(argv[1]) : 600;
  Compute* device = [[Compute alloc] init];
  if (![device open]) return 1;
  images.draw();
  Classifier* classifier = [[Classifier alloc] initWithDevice:device];
  if ([classifier load:"shapes.bin"]) printf("goes on\n");
  Confusion confusion;
  Patience patience;
  Schedule schedule;
  Curve curve;
  float drops[16];
  float smooth = 0;
  for (int step = 0; step < steps; ++step) {
    NSAutoreleasePool* inner = [[NSAutoreleasePool alloc] init];
    const float loss = [classifier step:&images number:step rate:schedule.next()];
    curve.add(step, loss);
    smooth = step == 0 ? loss : 0.95f * smooth + 0.05f * loss;
    if (step % 20 == 0) NSLog(@"step %d loss %.4f (%.4f)", step, loss, smooth);
    if (step % 100 == 99) {
      const float right = [classifier evaluate:&images confusion:&confusion];
      NSLog(@"right: %.3f", right);
      confusion.print();
      [classifier occlude:&images image:step % kImages drops:drops];
      printDrops(drops);
      if (patience.gone(right, 5)) step = steps;
      if (![classifier save:"shapes.bin"]) printf("could not save\n");
    }
    [inner drain];
  }
  curve.print();
  for (int i = 0; i < kFirst; ++i) [classifier printFilter:i];
  [classifier release];
  [device release];
  [pool drain];
  return 0;
}
