// What one function keeps, another waits for under a second name.
#import <Metal/Metal.h>

@interface Keeper : NSObject
@property(nonatomic, strong) id<MTLCommandQueue> queue;
@property(nonatomic, strong) id<MTLCommandBuffer> last;
@property(nonatomic, strong) id<MTLBuffer> total;
@end

@implementation Keeper
- (void)start:(id<MTLComputePipelineState>)pipeline {
  id<MTLCommandBuffer> commands = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:pipeline];
  [encoder setBuffer:self.total offset:0 atIndex:0];
  [encoder dispatchThreads:MTLSizeMake(64, 1, 1) threadsPerThreadgroup:MTLSizeMake(64, 1, 1)];
  [encoder endEncoding];
  [commands commit];
  self.last = commands;
}

- (float)finish {
  id<MTLCommandBuffer> commands = self.last;
  [commands waitUntilCompleted];  // expect: required
  return ((float *)self.total.contents)[0];
}
@end
