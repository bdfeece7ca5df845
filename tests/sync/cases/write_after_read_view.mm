// Write after read.
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
  [enc2 setBuffer:self.b offset:0 atIndex:1];
  [enc2 dispatchThreads:MTLSizeMake(64, 1, 1) threadsPerThreadgroup:MTLSizeMake(64, 1, 1)];
  [enc2 endEncoding];
  [cb1 commit];
  [cb1 waitUntilCompleted];  // expect: required writes a
  memcpy(_a.contents, &total, sizeof total);
  id<MTLCommandBuffer> cb3 = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc4 = [cb3 computeCommandEncoder];
  [enc4 setBuffer:self.a offset:0 atIndex:0];
  [enc4 setBuffer:self.c offset:0 atIndex:1];
  [enc4 dispatchThreads:MTLSizeMake(64, 1, 1) threadsPerThreadgroup:MTLSizeMake(64, 1, 1)];
  [enc4 endEncoding];
  [cb3 commit];
  [cb3 waitUntilCompleted];  // expect: required exit
  return total;
}
@end
