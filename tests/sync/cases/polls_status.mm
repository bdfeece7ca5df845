// Going round until the status changes waits as well: nothing is missing here.
#import <Metal/Metal.h>

float run(id<MTLCommandQueue> queue, id<MTLBuffer> loss) {
  id<MTLCommandBuffer> cb = [queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:loss offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  while (cb.status < MTLCommandBufferStatusCompleted) usleep(10);
  return ((float*)loss.contents)[0];
}
