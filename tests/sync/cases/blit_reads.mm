// A blit only reads its source, so reading it too is no conflict.
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
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLBlitCommandEncoder> blit = [cb blitCommandEncoder];
  [blit copyFromBuffer:self.a sourceOffset:0 toBuffer:self.b destinationOffset:0 size:64];
  [blit endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: redundant
  float first = ((const float*)self.a.contents)[0];
  id<MTLCommandBuffer> next = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [next computeCommandEncoder];
  [enc setBuffer:self.b offset:0 atIndex:0];
  [enc setBytes:&first length:sizeof first atIndex:1];
  [enc endEncoding];
  [next commit];
  [next waitUntilCompleted];  // expect: required reads b
  return first + ((const float*)self.b.contents)[0];
}
@end
