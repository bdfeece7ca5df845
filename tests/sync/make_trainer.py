#!/usr/bin/env python3
"""Writes an Objective-C++ trainer of about N lines: every operation commits and waits, as in the wild.

    make_trainer.py N
"""
import sys

HEAD = """#import <Foundation/Foundation.h>
#import <Metal/Metal.h>
#include <vector>

@interface Trainer : NSObject
@property id<MTLDevice> device;
@property id<MTLCommandQueue> queue;
@property id<MTLComputePipelineState> pipeline;
@property id<MTLBuffer> tokens;
@property id<MTLBuffer> loss;
- (float)train:(const std::vector<int>&)data steps:(int)steps;
@end

@implementation Trainer {
  std::vector<id<MTLBuffer>> _activations;
  std::vector<id<MTLBuffer>> _gradients;
}
"""

OPERATION = """
- (void){name}:(id<MTLBuffer>)input to:(id<MTLBuffer>)output rows:(uint32_t)rows {{
  id<MTLCommandBuffer> commandBuffer = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:self.pipeline];
  [encoder setBuffer:input offset:0 atIndex:0];
  [encoder setBuffer:output offset:0 atIndex:1];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:2];
  [encoder dispatchThreads:MTLSizeMake(rows, 1, 1) threadsPerThreadgroup:MTLSizeMake(128, 1, 1)];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];
}}
"""

STEP = """
- (float)train:(const std::vector<int>&)data steps:(int)steps {{
  float total = 0;
  for (int step = 0; step < steps; ++step) {{
    memcpy(self.tokens.contents, data.data() + step, 512 * sizeof(int));
{calls}
    [self operation0:_activations[0] to:self.loss rows:1];
    total += ((const float*)self.loss.contents)[0];
  }}
  return total / steps;
}}
@end
"""


def main():
    lines = int(sys.argv[1])
    count = max(1, (lines - 50) // 15)
    print(HEAD, end="")
    for i in range(count):
        print(OPERATION.format(name=f"operation{i}"), end="")
    calls = "\n".join(f"    [self operation{i}:_activations[{i}] to:_gradients[{i}] rows:512];"
                      for i in range(count))
    print(STEP.format(calls=calls), end="")


main()
