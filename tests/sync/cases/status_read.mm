// The outcome of the command buffer is read.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@implementation Net
- (BOOL)run {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:self.loss offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required
  if (cb.status == MTLCommandBufferStatusError) NSLog(@"%@", cb.error);
  id<MTLCommandBuffer> next = [self.queue commandBuffer];
  [next commit];
  [next waitUntilCompleted];  // expect: required exit
  return YES;
}
@end
