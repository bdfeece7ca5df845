// A helper that commits and waits.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@implementation Net
static void finish(id<MTLCommandBuffer> cb) {
  [cb commit];
  [cb waitUntilCompleted];  // expect: required reads loss
}
- (float)run {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:self.loss offset:0 atIndex:0];
  [enc endEncoding];
  finish(cb);
  return ((float*)self.loss.contents)[0];
}
@end
