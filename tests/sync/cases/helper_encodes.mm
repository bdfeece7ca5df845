// Helpers that encode one operation each.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

static void encode(id<MTLCommandBuffer> cb, id<MTLBuffer> in, id<MTLBuffer> out) {
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:in offset:0 atIndex:0];
  [enc setBuffer:out offset:0 atIndex:1];
  [enc endEncoding];
}
@implementation Net
- (float)run {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  encode(cb, self.a, self.b);
  [cb commit];
  [cb waitUntilCompleted];  // expect: redundant
  cb = [self.queue commandBuffer];
  encode(cb, self.b, self.loss);
  [cb commit];
  [cb waitUntilCompleted];  // expect: required reads loss
  return ((float*)self.loss.contents)[0];
}
@end
