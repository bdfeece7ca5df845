// Waits in comments, strings, dead code; a method of the program's own.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@interface Animation : NSObject
- (void)waitUntilCompleted;
@end
@implementation Net
- (void)run:(Animation*)animation {
  // [cb waitUntilCompleted];
  NSLog(@"[cb waitUntilCompleted]");
#if 0
  [cb waitUntilCompleted];
#endif
  [animation waitUntilCompleted];
}
@end
