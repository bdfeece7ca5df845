// A wait on one queue says nothing about another.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@interface Pair : NSObject
@property id<MTLCommandQueue> first;
@property id<MTLCommandQueue> second;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@end
@implementation Pair
- (float)run {
  id<MTLCommandBuffer> one = [self.first commandBuffer];
  id<MTLComputeCommandEncoder> enc = [one computeCommandEncoder];
  [enc setBuffer:self.a offset:0 atIndex:0];
  [enc endEncoding];
  [one commit];
  [one waitUntilCompleted];  // expect: deferrable
  id<MTLCommandBuffer> two = [self.second commandBuffer];
  id<MTLComputeCommandEncoder> more = [two computeCommandEncoder];
  [more setBuffer:self.b offset:0 atIndex:0];
  [more endEncoding];
  [two commit];
  [two waitUntilCompleted];  // expect: required reads b
  return ((float*)self.a.contents)[0] + ((float*)self.b.contents)[0];
}
@end
