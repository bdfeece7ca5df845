// A wait in a macro is listed and left alone.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

#define RUN(cb) \
  [cb commit];  \
  [cb waitUntilCompleted];
@implementation Net
- (void)run {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  RUN(cb)  // expect: unknown
  id<MTLCommandBuffer> next = [self.queue commandBuffer];
  [next commit];
  [next waitUntilCompleted];  // expect: required exit
}
@end
