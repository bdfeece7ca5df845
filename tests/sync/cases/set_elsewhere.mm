// A pointer that another file sets may lead into any buffer that it can reach.
#import <Metal/Metal.h>

@interface Net : NSObject {
 @public
  float* _view;
  float* _own;
}
@property id<MTLCommandQueue> queue;
@property id<MTLBuffer> out;
@end

@implementation Net
- (void)setUp {
  _own = (float*)malloc(64);
}
- (void)submit {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:self.out offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: redundant
  _own[0] = 1;
  cb = [self.queue commandBuffer];
  enc = [cb computeCommandEncoder];
  [enc setBuffer:self.out offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: unknown
  _view[0] = 1;
}
@end
