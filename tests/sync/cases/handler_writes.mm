// The handler writes what the host reads after the wait.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@implementation Net {
  float _last;
}
- (float)run {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:self.loss offset:0 atIndex:0];
  [enc endEncoding];
  [cb addCompletedHandler:^(id<MTLCommandBuffer> b) {
    self->_last = ((float*)self.loss.contents)[0];
  }];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required reads last
  float value = _last;
  cb = [self.queue commandBuffer];
  enc = [cb computeCommandEncoder];
  [enc setBuffer:self.a offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required exit
  return value;
}
@end
