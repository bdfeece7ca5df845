// A buffer that asks not to be tracked: nothing but the wait orders its uses.
#import <Metal/Metal.h>

static id<MTLCommandBuffer> copy(id<MTLCommandQueue> queue, id<MTLBuffer> from, id<MTLBuffer> to) {
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLBlitCommandEncoder> encoder = [commands blitCommandEncoder];
  [encoder copyFromBuffer:from sourceOffset:0 toBuffer:to destinationOffset:0 size:64];
  [encoder endEncoding];
  [commands commit];
  return commands;
}

void without_tracking(id<MTLCommandQueue> queue, id<MTLBuffer> from, id<MTLBuffer> to) {
  id<MTLBuffer> between = [queue.device newBufferWithLength:64
                                                    options:MTLResourceHazardTrackingModeUntracked];
  id<MTLCommandBuffer> first = copy(queue, from, between);
  [first waitUntilCompleted];  // expect: required
  id<MTLCommandBuffer> second = copy(queue, between, to);
  [second waitUntilCompleted];  // expect: required
}
