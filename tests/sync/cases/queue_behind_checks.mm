// A queue that is made only where the checks before it have passed is one queue.
#import <Metal/Metal.h>
#include <stdio.h>

struct Machine {
  id<MTLDevice> device;
  id<MTLCommandQueue> queue;
  id<MTLComputePipelineState> step;
  id<MTLBuffer> values;
};

static BOOL open_machine(Machine *m) {
  m->device = MTLCreateSystemDefaultDevice();
  if (m->device == nil) {
    fprintf(stderr, "no GPU\n");
    return NO;
  }
  m->queue = [m->device newCommandQueue];
  if (m->queue == nil) return NO;
  m->values = [m->device newBufferWithLength:4096 options:MTLResourceStorageModeShared];
  return YES;
}

static void advance(Machine *m) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:m->step];
  [encoder setBuffer:m->values offset:0 atIndex:0];
  [encoder dispatchThreads:MTLSizeMake(1024, 1, 1) threadsPerThreadgroup:MTLSizeMake(64, 1, 1)];
  [encoder endEncoding];
  [commands commit];
  [commands waitUntilCompleted];  // expect: redundant
}

static float finish(Machine *m) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:m->step];
  [encoder setBuffer:m->values offset:0 atIndex:0];
  [encoder dispatchThreads:MTLSizeMake(1024, 1, 1) threadsPerThreadgroup:MTLSizeMake(64, 1, 1)];
  [encoder endEncoding];
  [commands commit];
  [commands waitUntilCompleted];  // expect: required reads values
  return ((float *)m->values.contents)[0];
}

int main(void) {
  Machine m;
  if (!open_machine(&m)) return 1;
  advance(&m);
  advance(&m);
  printf("%f\n", finish(&m));
  return 0;
}
