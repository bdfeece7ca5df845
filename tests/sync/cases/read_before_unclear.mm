// The host reads what an earlier operation wrote, then code out of sight runs: the read is why.
#import <Metal/Metal.h>

void log_loss(float loss);

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@implementation Net
- (void)use:(id<MTLBuffer>)x {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:x offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: redundant
}
- (void)run {
  [self use:self.loss];
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:self.b offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required
  log_loss(((float*)self.loss.contents)[0]);
}
@end
