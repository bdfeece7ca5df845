// Code out of sight may read anything.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

void report(Net* net);
@implementation Net
- (void)run {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:self.loss offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: unknown
  report(self);
  id<MTLCommandBuffer> next = [self.queue commandBuffer];
  [next commit];
  [next waitUntilCompleted];  // expect: required exit
}
@end
