// Buffers that go through arrays and dictionaries, and a data object around their memory.
#import <Metal/Metal.h>

void submit(id<MTLCommandQueue> queue, id<MTLBuffer> buffer) {
  id<MTLCommandBuffer> cb = [queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:buffer offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required reads a
}

float run(id<MTLDevice> device, id<MTLCommandQueue> queue) {
  id<MTLBuffer> a = [device newBufferWithLength:64 options:0];
  id<MTLBuffer> b = [device newBufferWithLength:64 options:0];
  NSArray<id<MTLBuffer>>* all = @[ a, b ];
  float sum = 0;
  submit(queue, a);
  for (id<MTLBuffer> one in all) sum += ((float*)one.contents)[0];
  return sum;
}

float keyed(id<MTLDevice> device, id<MTLCommandQueue> queue) {
  id<MTLBuffer> a = [device newBufferWithLength:64 options:0];
  NSMutableDictionary<NSString*, id<MTLBuffer>>* named = [NSMutableDictionary dictionary];
  named[@"loss"] = a;
  id<MTLCommandBuffer> cb = [queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:a offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required reads a
  return ((float*)[named objectForKey:@"loss"].contents)[0];
}

void save(id<MTLDevice> device, id<MTLCommandQueue> queue) {
  id<MTLBuffer> a = [device newBufferWithLength:64 options:0];
  NSData* wrapped = [NSData dataWithBytesNoCopy:a.contents length:64 freeWhenDone:NO];
  id<MTLCommandBuffer> cb = [queue commandBuffer];
  id<MTLComputeCommandEncoder> enc = [cb computeCommandEncoder];
  [enc setBuffer:a offset:0 atIndex:0];
  [enc endEncoding];
  [cb commit];
  [cb waitUntilCompleted];  // expect: required reads a
  [wrapped writeToFile:@"weights" atomically:YES];
}
