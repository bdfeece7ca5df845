// A variable that names one of two queues, and which of them is decided while the program runs.
#import <Metal/Metal.h>

static id<MTLCommandBuffer> fill(id<MTLCommandQueue> queue, id<MTLComputePipelineState> pipeline,
                                 id<MTLBuffer> buffer) {
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:pipeline];
  [encoder setBuffer:buffer offset:0 atIndex:0];
  [encoder dispatchThreads:MTLSizeMake(64, 1, 1) threadsPerThreadgroup:MTLSizeMake(64, 1, 1)];
  [encoder endEncoding];
  [commands commit];
  return commands;
}

// The later work goes to whichever queue was chosen: in order behind the earlier.
float on_the_chosen(id<MTLDevice> device, id<MTLComputePipelineState> pipeline, bool fast) {
  id<MTLCommandQueue> queue;
  if (fast) {
    queue = [device newCommandQueue];
  } else {
    queue = [device newCommandQueueWithMaxCommandBufferCount:4];
  }
  id<MTLBuffer> buffer = [device newBufferWithLength:256 options:0];
  id<MTLCommandBuffer> run1 = fill(queue, pipeline, buffer);
  [run1 waitUntilCompleted];  // expect: redundant
  id<MTLCommandBuffer> run2 = fill(queue, pipeline, buffer);
  [run2 waitUntilCompleted];  // expect: required reads buffer
  return ((float *)buffer.contents)[0];
}

// The later work may go to the other queue.
float on_another(id<MTLDevice> device, id<MTLComputePipelineState> pipeline, bool fast) {
  id<MTLCommandQueue> first = [device newCommandQueue];
  id<MTLCommandQueue> second = [device newCommandQueue];
  id<MTLCommandQueue> chosen = first;
  if (fast) chosen = second;
  id<MTLBuffer> buffer = [device newBufferWithLength:256 options:0];
  id<MTLCommandBuffer> run3 = fill(chosen, pipeline, buffer);
  [run3 waitUntilCompleted];  // expect: required
  id<MTLCommandBuffer> run4 = fill(first, pipeline, buffer);
  [run4 waitUntilCompleted];  // expect: required reads buffer
  return ((float *)buffer.contents)[0];
}

// Chosen anew in every round: the next round's queue may be the other one.
float alternating(id<MTLDevice> device, id<MTLComputePipelineState> pipeline, int rounds) {
  id<MTLCommandQueue> first = [device newCommandQueue];
  id<MTLCommandQueue> second = [device newCommandQueue];
  id<MTLBuffer> buffer = [device newBufferWithLength:256 options:0];
  for (int i = 0; i < rounds; ++i) {
    id<MTLCommandQueue> chosen;
    if (i % 2 == 0) {
      chosen = first;
    } else {
      chosen = second;
    }
    id<MTLCommandBuffer> run5 = fill(chosen, pipeline, buffer);
    [run5 waitUntilCompleted];  // expect: required
  }
  return ((float *)buffer.contents)[0];
}

// The command buffer that is waited for is the one of the branch that was taken.
float the_branch_that_ran(id<MTLDevice> device, id<MTLComputePipelineState> pipeline, bool twice) {
  id<MTLCommandQueue> queue = [device newCommandQueue];
  id<MTLBuffer> buffer = [device newBufferWithLength:256 options:0];
  id<MTLCommandBuffer> last;
  if (twice) {
    fill(queue, pipeline, buffer);
    last = fill(queue, pipeline, buffer);
  } else {
    last = fill(queue, pipeline, buffer);
  }
  [last waitUntilCompleted];  // expect: required reads buffer
  return ((float *)buffer.contents)[0];
}
