// The host reads in a helper that gets a pointer.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

static float sum(const float* p, int n) {
  float total = 0;
  for (int i = 0; i < n; ++i) total += p[i];
  return total;
}
@implementation Net
- (float)run:(int)n {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:self.loss offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required reads loss
  float mean = sum((float*)self.loss.contents, n) / n;
  id<MTLCommandBuffer> last = [self.queue commandBuffer];
  id<MTLBlitCommandEncoder> blit = [last blitCommandEncoder];
  [blit copyFromBuffer:self.a sourceOffset:0 toBuffer:self.b destinationOffset:0 size:4];
  [blit endEncoding];
  [last commit];
  [last waitUntilCompleted];  // expect: required exit
  return mean;
}
@end
