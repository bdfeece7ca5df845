// The length of a buffer is no read of it.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@implementation Net
- (NSUInteger)run {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:self.a offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: redundant
  NSUInteger length = [self.a length];
  id<MTLCommandBuffer> next = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> more = [next computeCommandEncoder];
  [more setBuffer:self.a offset:0 atIndex:0];
  [more endEncoding];
  [next commit];
  [next waitUntilCompleted];  // expect: required exit
  return length;
}
@end
