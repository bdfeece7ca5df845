// Waiting for the buffer of the step before.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@implementation Net
- (void)run:(int)n {
  id<MTLCommandBuffer> last = nil;
  for (int i = 0; i < n; ++i) {
    id<MTLCommandBuffer> cb = [self.queue commandBuffer];
    id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
    [enc setBuffer:self.a offset:0 atIndex:0];
    [enc endEncoding];
    [cb commit];
    if (last != nil) [last waitUntilCompleted];  // expect: required
    last = cb;
  }
  [last waitUntilCompleted];  // expect: required exit
}
@end
