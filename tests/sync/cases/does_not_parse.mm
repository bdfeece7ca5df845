// An unknown macro in the function: nothing is decided there.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@implementation Net
- (void)run {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  [cb commit];
  [cb waitUntilCompleted];  // expect: unknown
  PROJECT_LOG(self.loss.contents);
  id<MTLCommandBuffer> next = [self.queue commandBuffer];
  [next commit];
  [next waitUntilCompleted];  // expect: unknown
}
@end
