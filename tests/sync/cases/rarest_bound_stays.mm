// One wait bounds the work in flight: of three, the one in the outer loop.
#import <Metal/Metal.h>

static void encode(id<MTLCommandBuffer> commands, id<MTLComputePipelineState> pipeline,
                   id<MTLBuffer> values) {
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:pipeline];
  [encoder setBuffer:values offset:0 atIndex:0];
  [encoder dispatchThreads:MTLSizeMake(64, 1, 1) threadsPerThreadgroup:MTLSizeMake(64, 1, 1)];
  [encoder endEncoding];
}

static void layer(id<MTLCommandQueue> queue, id<MTLComputePipelineState> pipeline,
                  id<MTLBuffer> values) {
  id<MTLCommandBuffer> forward = [queue commandBuffer];
  encode(forward, pipeline, values);
  [forward commit];
  [forward waitUntilCompleted];  // expect: redundant
}

float train(id<MTLDevice> device, id<MTLComputePipelineState> pipeline, int steps) {
  id<MTLCommandQueue> queue = [device newCommandQueue];
  id<MTLBuffer> values = [device newBufferWithLength:4096 options:0];
  for (int step = 0; step < steps; ++step) {
    for (int i = 0; i < 12; ++i) layer(queue, pipeline, values);
    id<MTLCommandBuffer> update = [queue commandBuffer];
    encode(update, pipeline, values);
    [update commit];
    [update waitUntilCompleted];  // expect: required
  }
  id<MTLCommandBuffer> last = [queue commandBuffer];
  encode(last, pipeline, values);
  [last commit];
  [last waitUntilCompleted];  // expect: required reads values
  return ((float *)values.contents)[0];
}
