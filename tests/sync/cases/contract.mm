// Waiting is what this method is for.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@implementation Net {
  id<MTLCommandBuffer> _last;
}
- (void)synchronize {
  [_last waitUntilCompleted];  // expect: contract
}
@end
