// Random numbers of the standard library touch no device; a generator of one's own might.
#import <Metal/Metal.h>

#include <functional>
#include <random>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLBuffer> a;
@end

@implementation Net
- (void)submit {
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:self.a offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
}
- (int)draw:(int)most {
  std::mt19937 random(42);
  std::uniform_int_distribution<int> start(0, most);
  [self submit];
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  [cb commit];
  [cb waitUntilCompleted];  // expect: redundant
  const int from = start(random);
  const unsigned more = random();
  [self last];
  return from + (more > 7 ? 1 : 0);
}
- (int)ask:(std::function<int()>)generator {
  [self submit];
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  [cb commit];
  [cb waitUntilCompleted];  // expect: unknown
  const int from = generator();
  [self last];
  return from;
}
- (void)last {
  [self submit];
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required exit
}
@end
