// Getters with a body of their own, whatever their name, and a subclass that has another.
#import <Metal/Metal.h>

static id<MTLBuffer> shared;

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLBuffer> other;
- (float*)data;
- (void)report;
@end

@implementation Net
- (float*)data {
  return (float*)shared.contents;
}
- (void)report {
}
- (float)run {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:shared offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required reads shared
  const float value = [self data][0];
  cb = [self.queue commandBuffer];
  enc = [cb computeCommandEncoder];
  [enc setBuffer:shared offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: unknown
  [self report];
  return value;
}
@end

@interface Loud : Net
@end

@implementation Loud
- (void)report {
  printf("%f\n", [self data][0]);
}
@end
