// Buffers of a heap are not tracked: that the later work is on the same queue does not order it.
#import <Metal/Metal.h>

static id<MTLCommandBuffer> copy(id<MTLCommandQueue> queue, id<MTLBuffer> from, id<MTLBuffer> to) {
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLBlitCommandEncoder> encoder = [commands blitCommandEncoder];
  [encoder copyFromBuffer:from sourceOffset:0 toBuffer:to destinationOffset:0 size:64];
  [encoder endEncoding];
  [commands commit];
  return commands;
}

void through_the_heap(id<MTLHeap> heap, id<MTLCommandQueue> queue, id<MTLBuffer> from,
                      id<MTLBuffer> to) {
  id<MTLBuffer> between = [heap newBufferWithLength:64 options:0];
  id<MTLCommandBuffer> first = copy(queue, from, between);
  [first waitUntilCompleted];  // expect: required
  id<MTLCommandBuffer> second = copy(queue, between, to);
  [second waitUntilCompleted];  // expect: required
}
