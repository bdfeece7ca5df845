// A semaphore signalled by the completion handler is a wait.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@implementation Net
- (float)run {
  dispatch_semaphore_t done = dispatch_semaphore_create(0);
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:self.loss offset:0 atIndex:0];
  [enc endEncoding];
  [cb addCompletedHandler:^(id<MTLCommandBuffer> b) {
    dispatch_semaphore_signal(done);
  }];
  [cb commit];
  dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);  // expect: required
  return ((float*)self.loss.contents)[0];
}
@end
