// Sizes that are passed on by value are nobody's memory.
#import <Metal/Metal.h>

@interface Layer : NSObject {
  id<MTLCommandQueue> _queue;
  id<MTLComputePipelineState> _pipeline;
}
@property(nonatomic, strong) id<MTLBuffer> weights;
@end

@implementation Layer
- (void)encode:(id<MTLCommandBuffer>)command grid:(MTLSize)grid {
  id<MTLComputeCommandEncoder> encoder = [command computeCommandEncoder];
  [encoder setComputePipelineState:_pipeline];
  [encoder setBuffer:self.weights offset:0 atIndex:0];
  [encoder dispatchThreads:grid threadsPerThreadgroup:MTLSizeMake(64, 1, 1)];
  [encoder endEncoding];
}

- (void)twice {
  id<MTLCommandBuffer> first = [_queue commandBuffer];
  [self encode:first grid:MTLSizeMake(64, 1, 1)];
  [first commit];
  [first waitUntilCompleted];  // expect: redundant
  MTLSize grid = MTLSizeMake(128, 1, 1);
  id<MTLCommandBuffer> second = [_queue commandBuffer];
  [self encode:second grid:grid];
  [second commit];
  [second waitUntilCompleted];  // expect: required
}
@end
