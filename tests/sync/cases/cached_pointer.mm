// A pointer from  kept in an instance variable by another method.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@implementation Net {
  float* _view;
}
- (void)setUp {
  _view = (float*)self.loss.contents;
}
- (float)run {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:self.loss offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required reads loss
  float value = _view[0];
  cb = [self.queue commandBuffer];
  enc = [cb computeCommandEncoder];
  [enc setBuffer:self.a offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required exit
  return value;
}
@end
