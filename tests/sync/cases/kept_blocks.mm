// Blocks that are kept, or run on another queue, touch what they have captured.
#import <Metal/Metal.h>

@interface Net : NSObject
@property(copy) void (^done)(void);
@end

@implementation Net
- (void)run:(id<MTLDevice>)device on:(id<MTLCommandQueue>)queue {
  id<MTLBuffer> a = [device newBufferWithLength:64 options:0];
  id<MTLBuffer> b = [device newBufferWithLength:64 options:0];
  self.done = ^{
    printf("%f\n", ((float*)a.contents)[0]);
  };
  id<MTLCommandBuffer> cb = [queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:a offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: unknown
  self.done();
  cb = [queue commandBuffer];
  enc = [cb computeCommandEncoder];
  [enc setBuffer:b offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: unknown
  dispatch_async(dispatch_get_main_queue(), ^{
    printf("%f\n", ((float*)b.contents)[0]);
  });
}
@end
