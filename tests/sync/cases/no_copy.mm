// Memory without a copy is written while the device reads it.
#import <Metal/Metal.h>

@interface Net : NSObject
@property id<MTLCommandQueue> queue;
@property id<MTLDevice> device;
@property id<MTLBuffer> a;
@property id<MTLBuffer> b;
@property id<MTLBuffer> loss;
@end

@implementation Net
- (void)run:(float*)data {
  id<MTLBuffer> shared = [self.device newBufferWithBytesNoCopy:data
                                                        length:4096
                                                       options:0
                                                   deallocator:nil];
  id<MTLCommandBuffer> cb = [self.queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:shared offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required writes data
  data[0] = 1;
  id<MTLCommandBuffer> next = [self.queue commandBuffer];
  [next commit];
  [next waitUntilCompleted];  // expect: required exit
}
@end
