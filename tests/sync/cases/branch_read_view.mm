// Branch read.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> c;
@property id<MTLBuffer> loss;
- (float)run:(int)n;
@end

@implementation Net
- (float)run:(int)n {
  float* view = (float*)self.loss.contents;
  float total = 0;
  id<MTLCommandBuffer> cb1 = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc2 = [cb1 computeCommandEncoder];
  [enc2 setBuffer:self.a offset:0 atIndex:0];
  [enc2 setBuffer:self.loss offset:0 atIndex:1];
  [enc2 dispatchThreads:MTLSizeMake(64, 1, 1) threadsPerThreadgroup:MTLSizeMake(64, 1, 1)];
  [enc2 endEncoding];
  [cb1 commit];
  [cb1 waitUntilCompleted];  // expect: required reads loss
  if (n > 3) {
    total += view[n];
  }
  return total;
}
@end
