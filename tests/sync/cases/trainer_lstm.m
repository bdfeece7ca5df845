// A character LSTM in Objective-C: the state is a C struct of handles, the operations are
// functions, arrays of the steps' activations are NSMutableArrays.
#import <Foundation/Foundation.h>
#import <Metal/Metal.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kBatch = 16, kWidth = 64, kLetters = 128, kSteps = 24, kMaskSize = 4096 };

enum {
  k_look_up,
  k_gates,
  k_cell,
  k_drop,
  k_letter_scores,
  k_surprise,
  k_scores_back,
  k_weight_back,
  k_bias_back,
  k_cell_back,
  k_gates_back,
  k_table_back,
  k_largest,
  k_adagrad,
  k_wipe,
  kKernels
};

static NSString *const kNames[kKernels] = {
    @"look_up",    @"gates",       @"cell",        @"drop",      @"letter_scores",
    @"surprise",   @"scores_back", @"weight_back", @"bias_back", @"cell_back",
    @"gates_back", @"table_back",  @"largest",     @"adagrad",   @"wipe",
};

static NSString *source(void) {
  return @"kernel void look_up(device const float* letters [[buffer(0)]],\n"
          "                    device const float* table [[buffer(1)]],\n"
          "                    device float* out [[buffer(2)]],\n"
          "                    constant uint& batch [[buffer(3)]],\n"
          "                    constant uint& width [[buffer(4)]],\n"
          "                    constant uint& step [[buffer(5)]],\n"
          "                    uint i [[thread_position_in_grid]]) {\n"
          "  uint row = i / width;\n"
          "  if (row >= batch) return;\n"
          "  uint letter = as_type<uint>(letters[step * batch + row]);\n"
          "  out[i] = table[letter * width + i % width];\n"
          "}\n"
          "\n"
          "kernel void gates(device const float* x [[buffer(0)]],\n"
          "                  device const float* h [[buffer(1)]],\n"
          "                  device const float* wx [[buffer(2)]],\n"
          "                  device const float* wh [[buffer(3)]],\n"
          "                  device const float* bias [[buffer(4)]],\n"
          "                  device float* out [[buffer(5)]],\n"
          "                  constant uint& batch [[buffer(6)]],\n"
          "                  constant uint& width [[buffer(7)]],\n"
          "                  uint i [[thread_position_in_grid]]) {\n"
          "  uint row = i / (4 * width);\n"
          "  uint unit = i % (4 * width);\n"
          "  if (row >= batch) return;\n"
          "  float sum = bias[unit];\n"
          "  for (uint k = 0; k < width; ++k) sum += x[row * width + k] * wx[unit * width + k];\n"
          "  for (uint k = 0; k < width; ++k) sum += h[row * width + k] * wh[unit * width + k];\n"
          "  out[i] = sum;\n"
          "}\n"
          "\n"
          "kernel void cell(device const float* z [[buffer(0)]],\n"
          "                 device const float* before [[buffer(1)]],\n"
          "                 device float* c [[buffer(2)]],\n"
          "                 device float* h [[buffer(3)]],\n"
          "                 device float* tanh_c [[buffer(4)]],\n"
          "                 constant uint& batch [[buffer(5)]],\n"
          "                 constant uint& width [[buffer(6)]],\n"
          "                 uint i [[thread_position_in_grid]]) {\n"
          "  uint row = i / width;\n"
          "  uint k = i % width;\n"
          "  if (row >= batch) return;\n"
          "  uint at = row * 4 * width + k;\n"
          "  float in = 1 / (1 + exp(-z[at]));\n"
          "  float keep = 1 / (1 + exp(-z[at + width]));\n"
          "  float new_value = tanh(z[at + 2 * width]);\n"
          "  float show = 1 / (1 + exp(-z[at + 3 * width]));\n"
          "  c[i] = keep * before[i] + in * new_value;\n"
          "  tanh_c[i] = tanh(c[i]);\n"
          "  h[i] = show * tanh_c[i];\n"
          "}\n"
          "\n"
          "kernel void drop(device const float* mask [[buffer(0)]],\n"
          "                 device float* h [[buffer(1)]],\n"
          "                 constant uint& count [[buffer(2)]],\n"
          "                 constant uint& step [[buffer(3)]],\n"
          "                 uint i [[thread_position_in_grid]]) {\n"
          "  if (i < count) h[i] *= mask[(step * 31 + i) % 4096];\n"
          "}\n"
          "\n"
          "kernel void letter_scores(device const float* h [[buffer(0)]],\n"
          "                          device const float* weight [[buffer(1)]],\n"
          "                          device const float* bias [[buffer(2)]],\n"
          "                          device float* scores [[buffer(3)]],\n"
          "                          constant uint& batch [[buffer(4)]],\n"
          "                          constant uint& width [[buffer(5)]],\n"
          "                          constant uint& classes [[buffer(6)]],\n"
          "                          uint i [[thread_position_in_grid]]) {\n"
          "  uint row = i / classes;\n"
          "  uint c = i % classes;\n"
          "  if (row >= batch) return;\n"
          "  float sum = bias[c];\n"
          "  for (uint k = 0; k < width; ++k) sum += h[row * width + k] * weight[c * width + k];\n"
          "  scores[i] = sum;\n"
          "}\n"
          "\n"
          "kernel void surprise(device const float* scores [[buffer(0)]],\n"
          "                     device const float* letters [[buffer(1)]],\n"
          "                     device float* losses [[buffer(2)]],\n"
          "                     device float* grad [[buffer(3)]],\n"
          "                     constant uint& batch [[buffer(4)]],\n"
          "                     constant uint& classes [[buffer(5)]],\n"
          "                     constant uint& step [[buffer(6)]],\n"
          "                     uint i [[thread_position_in_grid]]) {\n"
          "  if (i >= batch) return;\n"
          "  float peak = scores[i * classes];\n"
          "  for (uint c = 1; c < classes; ++c) peak = max(peak, scores[i * classes + c]);\n"
          "  float sum = 0;\n"
          "  for (uint c = 0; c < classes; ++c) sum += exp(scores[i * classes + c] - peak);\n"
          "  uint right = as_type<uint>(letters[(step + 1) * batch + i]);\n"
          "  losses[step * batch + i] = log(sum) + peak - scores[i * classes + right];\n"
          "  for (uint c = 0; c < classes; ++c) {\n"
          "    grad[i * classes + c] = (exp(scores[i * classes + c] - peak) / sum - (c == right ? "
          "1.0f : 0.0f)) / batch;\n"
          "  }\n"
          "}\n"
          "\n"
          "kernel void scores_back(device const float* grad [[buffer(0)]],\n"
          "                        device const float* weight [[buffer(1)]],\n"
          "                        device float* grad_h [[buffer(2)]],\n"
          "                        constant uint& batch [[buffer(3)]],\n"
          "                        constant uint& width [[buffer(4)]],\n"
          "                        constant uint& classes [[buffer(5)]],\n"
          "                        uint i [[thread_position_in_grid]]) {\n"
          "  uint row = i / width;\n"
          "  if (row >= batch) return;\n"
          "  float sum = 0;\n"
          "  for (uint c = 0; c < classes; ++c) sum += grad[row * classes + c] * weight[c * width "
          "+ i % width];\n"
          "  grad_h[i] += sum;\n"
          "}\n"
          "\n"
          "kernel void weight_back(device const float* grad [[buffer(0)]],\n"
          "                        device const float* x [[buffer(1)]],\n"
          "                        device float* grad_weight [[buffer(2)]],\n"
          "                        constant uint& batch [[buffer(3)]],\n"
          "                        constant uint& inner [[buffer(4)]],\n"
          "                        constant uint& width [[buffer(5)]],\n"
          "                        uint i [[thread_position_in_grid]]) {\n"
          "  if (i >= inner * width) return;\n"
          "  float sum = 0;\n"
          "  for (uint row = 0; row < batch; ++row) sum += grad[row * width + i / inner] * x[row * "
          "inner + i % inner];\n"
          "  grad_weight[i] += sum;\n"
          "}\n"
          "\n"
          "kernel void bias_back(device const float* grad [[buffer(0)]],\n"
          "                      device float* grad_bias [[buffer(1)]],\n"
          "                      constant uint& batch [[buffer(2)]],\n"
          "                      constant uint& width [[buffer(3)]],\n"
          "                      uint i [[thread_position_in_grid]]) {\n"
          "  if (i >= width) return;\n"
          "  float sum = 0;\n"
          "  for (uint row = 0; row < batch; ++row) sum += grad[row * width + i];\n"
          "  grad_bias[i] += sum;\n"
          "}\n"
          "\n"
          "kernel void cell_back(device const float* z [[buffer(0)]],\n"
          "                      device const float* before [[buffer(1)]],\n"
          "                      device const float* tanh_c [[buffer(2)]],\n"
          "                      device const float* grad_h [[buffer(3)]],\n"
          "                      device float* grad_c [[buffer(4)]],\n"
          "                      device float* grad_z [[buffer(5)]],\n"
          "                      constant uint& batch [[buffer(6)]],\n"
          "                      constant uint& width [[buffer(7)]],\n"
          "                      uint i [[thread_position_in_grid]]) {\n"
          "  uint row = i / width;\n"
          "  uint k = i % width;\n"
          "  if (row >= batch) return;\n"
          "  uint at = row * 4 * width + k;\n"
          "  float in = 1 / (1 + exp(-z[at]));\n"
          "  float keep = 1 / (1 + exp(-z[at + width]));\n"
          "  float new_value = tanh(z[at + 2 * width]);\n"
          "  float show = 1 / (1 + exp(-z[at + 3 * width]));\n"
          "  float d = grad_c[i] + grad_h[i] * show * (1 - tanh_c[i] * tanh_c[i]);\n"
          "  grad_z[at] = d * new_value * in * (1 - in);\n"
          "  grad_z[at + width] = d * before[i] * keep * (1 - keep);\n"
          "  grad_z[at + 2 * width] = d * in * (1 - new_value * new_value);\n"
          "  grad_z[at + 3 * width] = grad_h[i] * tanh_c[i] * show * (1 - show);\n"
          "  grad_c[i] = d * keep;\n"
          "}\n"
          "\n"
          "kernel void gates_back(device const float* grad_z [[buffer(0)]],\n"
          "                       device const float* weight [[buffer(1)]],\n"
          "                       device float* grad_h [[buffer(2)]],\n"
          "                       constant uint& batch [[buffer(3)]],\n"
          "                       constant uint& width [[buffer(4)]],\n"
          "                       uint i [[thread_position_in_grid]]) {\n"
          "  uint row = i / width;\n"
          "  if (row >= batch) return;\n"
          "  float sum = 0;\n"
          "  for (uint unit = 0; unit < 4 * width; ++unit) sum += grad_z[row * 4 * width + unit] * "
          "weight[unit * width + i % width];\n"
          "  grad_h[i] = sum;\n"
          "}\n"
          "\n"
          "kernel void table_back(device const float* letters [[buffer(0)]],\n"
          "                       device const float* grad [[buffer(1)]],\n"
          "                       device float* grad_table [[buffer(2)]],\n"
          "                       constant uint& batch [[buffer(3)]],\n"
          "                       constant uint& width [[buffer(4)]],\n"
          "                       constant uint& step [[buffer(5)]],\n"
          "                       uint i [[thread_position_in_grid]]) {\n"
          "  if (i >= width) return;\n"
          "  for (uint row = 0; row < batch; ++row) {\n"
          "    grad_table[as_type<uint>(letters[step * batch + row]) * width + i] += grad[row * "
          "width + i];\n"
          "  }\n"
          "}\n"
          "\n"
          "kernel void largest(device const float* grads [[buffer(0)]],\n"
          "                    device float* out [[buffer(1)]],\n"
          "                    constant uint& count [[buffer(2)]],\n"
          "                    uint i [[thread_position_in_grid]]) {\n"
          "  if (i != 0) return;\n"
          "  float most = 0;\n"
          "  for (uint k = 0; k < count; ++k) most = max(most, fabs(grads[k]));\n"
          "  out[0] = most;\n"
          "}\n"
          "\n"
          "kernel void adagrad(device float* param [[buffer(0)]],\n"
          "                    device float* grad [[buffer(1)]],\n"
          "                    device float* memory [[buffer(2)]],\n"
          "                    constant uint& count [[buffer(3)]],\n"
          "                    constant float& rate [[buffer(4)]],\n"
          "                    constant float& limit [[buffer(5)]],\n"
          "                    uint i [[thread_position_in_grid]]) {\n"
          "  if (i >= count) return;\n"
          "  float g = clamp(grad[i], -limit, limit);\n"
          "  memory[i] += g * g;\n"
          "  param[i] -= rate * g / (sqrt(memory[i]) + 1e-6f);\n"
          "  grad[i] = 0;\n"
          "}\n"
          "\n"
          "kernel void wipe(device float* x [[buffer(0)]],\n"
          "                 constant uint& count [[buffer(1)]],\n"
          "                 uint i [[thread_position_in_grid]]) {\n"
          "  if (i < count) x[i] = 0;\n"
          "}\n"
          "\n";
}

/// One step's activations, kept for the way back.
@interface Step : NSObject
@property(nonatomic, strong) id<MTLBuffer> x;
@property(nonatomic, strong) id<MTLBuffer> z;
@property(nonatomic, strong) id<MTLBuffer> c;
@property(nonatomic, strong) id<MTLBuffer> h;
@property(nonatomic, strong) id<MTLBuffer> tanhC;
@property(nonatomic, strong) id<MTLBuffer> gradScores;
@end

@implementation Step
@end

/// A parameter, its gradient and what the optimiser remembers.
@interface Weight : NSObject
@property(nonatomic, strong) id<MTLBuffer> value;
@property(nonatomic, strong) id<MTLBuffer> grad;
@property(nonatomic, strong) id<MTLBuffer> memory;
@property(nonatomic) uint32_t count;
@end

@implementation Weight
@end

typedef struct {
  __strong id<MTLDevice> device;
  __strong id<MTLCommandQueue> queue;
  __strong id<MTLComputePipelineState> states[kKernels];
  __strong id<MTLBuffer> letters;
  __strong id<MTLBuffer> mask;
  __strong id<MTLBuffer> firstH;
  __strong id<MTLBuffer> firstC;
  __strong id<MTLBuffer> losses;
  __strong id<MTLBuffer> scores;
  __strong id<MTLBuffer> gradH;
  __strong id<MTLBuffer> gradC;
  __strong id<MTLBuffer> gradZ;
  __strong id<MTLBuffer> gradX;
  __strong id<MTLBuffer> peak;
  __strong Weight *table;
  __strong Weight *wx;
  __strong Weight *wh;
  __strong Weight *bias;
  __strong Weight *outWeight;
  __strong Weight *outBias;
  __strong NSMutableArray<Step *> *steps;
  uint64_t random;
} LSTM;

static uint32_t next_random(LSTM *m) {
  m->random = m->random * 6364136223846793005ULL + 1442695040888963407ULL;
  return (uint32_t)(m->random >> 33);
}

static float uniform(LSTM *m) { return (float)(next_random(m) & 0xFFFFFF) / 16777216.0f; }

#pragma mark - Memory

static id<MTLBuffer> floats(LSTM *m, uint32_t count) {
  id<MTLBuffer> made = [m->device newBufferWithLength:count * sizeof(float)
                                              options:MTLResourceStorageModeShared];
  memset(made.contents, 0, count * sizeof(float));
  return made;
}

static Weight *weight(LSTM *m, uint32_t count, float spread) {
  Weight *made = [Weight new];
  made.count = count;
  made.value = floats(m, count);
  made.grad = floats(m, count);
  made.memory = floats(m, count);
  float *values = (float *)made.value.contents;
  for (uint32_t i = 0; i < count; ++i) values[i] = spread * (2 * uniform(m) - 1);
  return made;
}

static Step *make_step(LSTM *m) {
  Step *step = [Step new];
  step.x = floats(m, kBatch * kWidth);
  step.z = floats(m, 4 * kBatch * kWidth);
  step.c = floats(m, kBatch * kWidth);
  step.h = floats(m, kBatch * kWidth);
  step.tanhC = floats(m, kBatch * kWidth);
  step.gradScores = floats(m, kBatch * kLetters);
  return step;
}

static BOOL open_device(LSTM *m) {
  NSError *error = nil;
  m->device = MTLCreateSystemDefaultDevice();
  m->queue = [m->device newCommandQueue];
  if (m->queue == nil) {
    fprintf(stderr, "no Metal device\n");
    return NO;
  }
  id<MTLLibrary> library = [m->device newLibraryWithSource:source() options:nil error:&error];
  if (library == nil) {
    NSLog(@"shaders do not compile: %@", error);
    return NO;
  }
  for (int i = 0; i < kKernels; ++i) {
    id<MTLFunction> function = [library newFunctionWithName:kNames[i]];
    m->states[i] = [m->device newComputePipelineStateWithFunction:function error:&error];
    if (m->states[i] == nil) return NO;
  }
  return YES;
}

static BOOL make_model(LSTM *m) {
  m->random = 2718281828ULL;
  if (!open_device(m)) return NO;
  m->letters = [m->device newBufferWithLength:(kSteps + 1) * kBatch * sizeof(uint32_t)
                                      options:MTLResourceStorageModeShared];
  m->mask = floats(m, kMaskSize);
  m->firstH = floats(m, kBatch * kWidth);
  m->firstC = floats(m, kBatch * kWidth);
  m->losses = floats(m, kSteps * kBatch);
  m->scores = floats(m, kBatch * kLetters);
  m->gradH = floats(m, kBatch * kWidth);
  m->gradC = floats(m, kBatch * kWidth);
  m->gradZ = floats(m, 4 * kBatch * kWidth);
  m->gradX = floats(m, kBatch * kWidth);
  m->peak = floats(m, 1);
  m->table = weight(m, kLetters * kWidth, 0.1f);
  m->wx = weight(m, 4 * kWidth * kWidth, 0.1f);
  m->wh = weight(m, 4 * kWidth * kWidth, 0.1f);
  m->bias = weight(m, 4 * kWidth, 0.0f);
  m->outWeight = weight(m, kLetters * kWidth, 0.1f);
  m->outBias = weight(m, kLetters, 0.0f);
  m->steps = [NSMutableArray new];
  for (int i = 0; i < kSteps; ++i) [m->steps addObject:make_step(m)];
  return YES;
}

#pragma mark - Operations

static id<MTLComputeCommandEncoder> begin(LSTM *m, id<MTLCommandBuffer> commands, int kernel) {
  id<MTLComputeCommandEncoder> pass = [commands computeCommandEncoder];
  [pass setComputePipelineState:m->states[kernel]];
  return pass;
}

static void finish(id<MTLComputeCommandEncoder> pass, uint32_t count) {
  [pass dispatchThreads:MTLSizeMake(count, 1, 1) threadsPerThreadgroup:MTLSizeMake(64, 1, 1)];
  [pass endEncoding];
}

static void look_up(LSTM *m, id<MTLBuffer> letters, id<MTLBuffer> table, id<MTLBuffer> out,
                    uint32_t batch, uint32_t width, uint32_t step) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_look_up);
  [pass setBuffer:letters offset:0 atIndex:0];
  [pass setBuffer:table offset:0 atIndex:1];
  [pass setBuffer:out offset:0 atIndex:2];
  [pass setBytes:&batch length:sizeof(batch) atIndex:3];
  [pass setBytes:&width length:sizeof(width) atIndex:4];
  [pass setBytes:&step length:sizeof(step) atIndex:5];
  finish(pass, batch * width);
  [commands commit];
}

static void gates(LSTM *m, id<MTLBuffer> x, id<MTLBuffer> h, id<MTLBuffer> wx, id<MTLBuffer> wh,
                  id<MTLBuffer> bias, id<MTLBuffer> out, uint32_t batch, uint32_t width) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_gates);
  [pass setBuffer:x offset:0 atIndex:0];
  [pass setBuffer:h offset:0 atIndex:1];
  [pass setBuffer:wx offset:0 atIndex:2];
  [pass setBuffer:wh offset:0 atIndex:3];
  [pass setBuffer:bias offset:0 atIndex:4];
  [pass setBuffer:out offset:0 atIndex:5];
  [pass setBytes:&batch length:sizeof(batch) atIndex:6];
  [pass setBytes:&width length:sizeof(width) atIndex:7];
  finish(pass, 4 * batch * width);
  [commands commit];
  [commands waitUntilCompleted];  // expect: redundant
}

static void cell(LSTM *m, id<MTLBuffer> z, id<MTLBuffer> before, id<MTLBuffer> c, id<MTLBuffer> h,
                 id<MTLBuffer> tanh_c, uint32_t batch, uint32_t width) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_cell);
  [pass setBuffer:z offset:0 atIndex:0];
  [pass setBuffer:before offset:0 atIndex:1];
  [pass setBuffer:c offset:0 atIndex:2];
  [pass setBuffer:h offset:0 atIndex:3];
  [pass setBuffer:tanh_c offset:0 atIndex:4];
  [pass setBytes:&batch length:sizeof(batch) atIndex:5];
  [pass setBytes:&width length:sizeof(width) atIndex:6];
  finish(pass, batch * width);
  [commands commit];
}

static void drop(LSTM *m, id<MTLBuffer> mask, id<MTLBuffer> h, uint32_t count, uint32_t step) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_drop);
  [pass setBuffer:mask offset:0 atIndex:0];
  [pass setBuffer:h offset:0 atIndex:1];
  [pass setBytes:&count length:sizeof(count) atIndex:2];
  [pass setBytes:&step length:sizeof(step) atIndex:3];
  finish(pass, count);
  [commands commit];
}

static void letter_scores(LSTM *m, id<MTLBuffer> h, id<MTLBuffer> weight, id<MTLBuffer> bias,
                          id<MTLBuffer> scores, uint32_t batch, uint32_t width, uint32_t classes) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_letter_scores);
  [pass setBuffer:h offset:0 atIndex:0];
  [pass setBuffer:weight offset:0 atIndex:1];
  [pass setBuffer:bias offset:0 atIndex:2];
  [pass setBuffer:scores offset:0 atIndex:3];
  [pass setBytes:&batch length:sizeof(batch) atIndex:4];
  [pass setBytes:&width length:sizeof(width) atIndex:5];
  [pass setBytes:&classes length:sizeof(classes) atIndex:6];
  finish(pass, batch * classes);
  [commands commit];
  [commands waitUntilCompleted];  // expect: required reads scores
}

static void surprise(LSTM *m, id<MTLBuffer> scores, id<MTLBuffer> letters, id<MTLBuffer> losses,
                     id<MTLBuffer> grad, uint32_t batch, uint32_t classes, uint32_t step) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_surprise);
  [pass setBuffer:scores offset:0 atIndex:0];
  [pass setBuffer:letters offset:0 atIndex:1];
  [pass setBuffer:losses offset:0 atIndex:2];
  [pass setBuffer:grad offset:0 atIndex:3];
  [pass setBytes:&batch length:sizeof(batch) atIndex:4];
  [pass setBytes:&classes length:sizeof(classes) atIndex:5];
  [pass setBytes:&step length:sizeof(step) atIndex:6];
  finish(pass, batch);
  [commands commit];
}

static void scores_back(LSTM *m, id<MTLBuffer> grad, id<MTLBuffer> weight, id<MTLBuffer> grad_h,
                        uint32_t batch, uint32_t width, uint32_t classes) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_scores_back);
  [pass setBuffer:grad offset:0 atIndex:0];
  [pass setBuffer:weight offset:0 atIndex:1];
  [pass setBuffer:grad_h offset:0 atIndex:2];
  [pass setBytes:&batch length:sizeof(batch) atIndex:3];
  [pass setBytes:&width length:sizeof(width) atIndex:4];
  [pass setBytes:&classes length:sizeof(classes) atIndex:5];
  finish(pass, batch * width);
  [commands commit];
}

static void weight_back(LSTM *m, id<MTLBuffer> grad, id<MTLBuffer> x, id<MTLBuffer> grad_weight,
                        uint32_t batch, uint32_t inner, uint32_t width) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_weight_back);
  [pass setBuffer:grad offset:0 atIndex:0];
  [pass setBuffer:x offset:0 atIndex:1];
  [pass setBuffer:grad_weight offset:0 atIndex:2];
  [pass setBytes:&batch length:sizeof(batch) atIndex:3];
  [pass setBytes:&inner length:sizeof(inner) atIndex:4];
  [pass setBytes:&width length:sizeof(width) atIndex:5];
  finish(pass, inner * width);
  [commands commit];
  [commands waitUntilCompleted];  // expect: redundant
}

static void bias_back(LSTM *m, id<MTLBuffer> grad, id<MTLBuffer> grad_bias, uint32_t batch,
                      uint32_t width) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_bias_back);
  [pass setBuffer:grad offset:0 atIndex:0];
  [pass setBuffer:grad_bias offset:0 atIndex:1];
  [pass setBytes:&batch length:sizeof(batch) atIndex:2];
  [pass setBytes:&width length:sizeof(width) atIndex:3];
  finish(pass, width);
  [commands commit];
}

static void cell_back(LSTM *m, id<MTLBuffer> z, id<MTLBuffer> before, id<MTLBuffer> tanh_c,
                      id<MTLBuffer> grad_h, id<MTLBuffer> grad_c, id<MTLBuffer> grad_z,
                      uint32_t batch, uint32_t width) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_cell_back);
  [pass setBuffer:z offset:0 atIndex:0];
  [pass setBuffer:before offset:0 atIndex:1];
  [pass setBuffer:tanh_c offset:0 atIndex:2];
  [pass setBuffer:grad_h offset:0 atIndex:3];
  [pass setBuffer:grad_c offset:0 atIndex:4];
  [pass setBuffer:grad_z offset:0 atIndex:5];
  [pass setBytes:&batch length:sizeof(batch) atIndex:6];
  [pass setBytes:&width length:sizeof(width) atIndex:7];
  finish(pass, batch * width);
  [commands commit];
}

static void gates_back(LSTM *m, id<MTLBuffer> grad_z, id<MTLBuffer> weight, id<MTLBuffer> grad_h,
                       uint32_t batch, uint32_t width) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_gates_back);
  [pass setBuffer:grad_z offset:0 atIndex:0];
  [pass setBuffer:weight offset:0 atIndex:1];
  [pass setBuffer:grad_h offset:0 atIndex:2];
  [pass setBytes:&batch length:sizeof(batch) atIndex:3];
  [pass setBytes:&width length:sizeof(width) atIndex:4];
  finish(pass, batch * width);
  [commands commit];
  [commands waitUntilCompleted];  // expect: redundant
}

static void table_back(LSTM *m, id<MTLBuffer> letters, id<MTLBuffer> grad, id<MTLBuffer> grad_table,
                       uint32_t batch, uint32_t width, uint32_t step) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_table_back);
  [pass setBuffer:letters offset:0 atIndex:0];
  [pass setBuffer:grad offset:0 atIndex:1];
  [pass setBuffer:grad_table offset:0 atIndex:2];
  [pass setBytes:&batch length:sizeof(batch) atIndex:3];
  [pass setBytes:&width length:sizeof(width) atIndex:4];
  [pass setBytes:&step length:sizeof(step) atIndex:5];
  finish(pass, width);
  [commands commit];
}

static void largest(LSTM *m, id<MTLBuffer> grads, id<MTLBuffer> out, uint32_t count) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_largest);
  [pass setBuffer:grads offset:0 atIndex:0];
  [pass setBuffer:out offset:0 atIndex:1];
  [pass setBytes:&count length:sizeof(count) atIndex:2];
  finish(pass, 1);
  [commands commit];
  [commands waitUntilCompleted];  // expect: required reads peak
}

static void adagrad(LSTM *m, id<MTLBuffer> param, id<MTLBuffer> grad, id<MTLBuffer> memory,
                    uint32_t count, float rate, float limit) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_adagrad);
  [pass setBuffer:param offset:0 atIndex:0];
  [pass setBuffer:grad offset:0 atIndex:1];
  [pass setBuffer:memory offset:0 atIndex:2];
  [pass setBytes:&count length:sizeof(count) atIndex:3];
  [pass setBytes:&rate length:sizeof(rate) atIndex:4];
  [pass setBytes:&limit length:sizeof(limit) atIndex:5];
  finish(pass, count);
  [commands commit];
  [commands waitUntilCompleted];  // expect: redundant
}

static void wipe(LSTM *m, id<MTLBuffer> x, uint32_t count) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLComputeCommandEncoder> pass = begin(m, commands, k_wipe);
  [pass setBuffer:x offset:0 atIndex:0];
  [pass setBytes:&count length:sizeof(count) atIndex:1];
  finish(pass, count);
  [commands commit];
}

#pragma mark - Forward and back

static void forward_step(LSTM *m, uint32_t at, uint32_t batch, BOOL training) {
  Step *step = m->steps[at];
  id<MTLBuffer> h = at > 0 ? m->steps[at - 1].h : m->firstH;
  id<MTLBuffer> c = at > 0 ? m->steps[at - 1].c : m->firstC;
  look_up(m, m->letters, m->table.value, step.x, batch, kWidth, at);
  gates(m, step.x, h, m->wx.value, m->wh.value, m->bias.value, step.z, batch, kWidth);
  cell(m, step.z, c, step.c, step.h, step.tanhC, batch, kWidth);
  if (training) drop(m, m->mask, step.h, batch * kWidth, at);
  letter_scores(m, step.h, m->outWeight.value, m->outBias.value, m->scores, batch, kWidth,
                kLetters);
}

static void forward(LSTM *m, BOOL training) {
  for (uint32_t at = 0; at < kSteps; ++at) {
    forward_step(m, at, kBatch, training);
    surprise(m, m->scores, m->letters, m->losses, m->steps[at].gradScores, kBatch, kLetters, at);
  }
  largest(m, m->losses, m->peak, kSteps * kBatch);
}

static float mean_loss(LSTM *m) {
  const float *losses = (const float *)m->losses.contents;
  float sum = 0;
  for (int i = 0; i < kSteps * kBatch; ++i) sum += losses[i];
  return sum / (kSteps * kBatch);
}

static void back_step(LSTM *m, uint32_t at) {
  Step *step = m->steps[at];
  id<MTLBuffer> h = at > 0 ? m->steps[at - 1].h : m->firstH;
  id<MTLBuffer> c = at > 0 ? m->steps[at - 1].c : m->firstC;
  scores_back(m, step.gradScores, m->outWeight.value, m->gradH, kBatch, kWidth, kLetters);
  weight_back(m, step.gradScores, step.h, m->outWeight.grad, kBatch, kWidth, kLetters);
  bias_back(m, step.gradScores, m->outBias.grad, kBatch, kLetters);
  cell_back(m, step.z, c, step.tanhC, m->gradH, m->gradC, m->gradZ, kBatch, kWidth);
  weight_back(m, m->gradZ, step.x, m->wx.grad, kBatch, kWidth, 4 * kWidth);
  weight_back(m, m->gradZ, h, m->wh.grad, kBatch, kWidth, 4 * kWidth);
  bias_back(m, m->gradZ, m->bias.grad, kBatch, 4 * kWidth);
  gates_back(m, m->gradZ, m->wx.value, m->gradX, kBatch, kWidth);
  gates_back(m, m->gradZ, m->wh.value, m->gradH, kBatch, kWidth);
  table_back(m, m->letters, m->gradX, m->table.grad, kBatch, kWidth, at);
}

static void backward(LSTM *m) {
  wipe(m, m->gradH, kBatch * kWidth);
  wipe(m, m->gradC, kBatch * kWidth);
  for (int at = kSteps - 1; at >= 0; --at) back_step(m, (uint32_t)at);
}

static void learn(LSTM *m, Weight *one, float rate, float limit) {
  adagrad(m, one.value, one.grad, one.memory, one.count, rate, limit);
}

static float update(LSTM *m, float rate) {
  largest(m, m->outWeight.grad, m->peak, m->outWeight.count);
  const float peak = ((const float *)m->peak.contents)[0];
  const float limit = peak > 5 ? 5.0f / peak : 5.0f;
  learn(m, m->table, rate, limit);
  learn(m, m->wx, rate, limit);
  learn(m, m->wh, rate, limit);
  learn(m, m->bias, rate, limit);
  learn(m, m->outWeight, rate, limit);
  learn(m, m->outBias, rate, limit);
  // Whatever comes next may read the parameters or write the letters.
  id<MTLCommandBuffer> last = [m->queue commandBuffer];
  id<MTLBlitCommandEncoder> blit = [last blitCommandEncoder];
  [blit copyFromBuffer:m->steps[kSteps - 1].h
           sourceOffset:0
               toBuffer:m->firstH
      destinationOffset:0
                   size:kBatch * kWidth * sizeof(float)];
  [blit copyFromBuffer:m->steps[kSteps - 1].c
           sourceOffset:0
               toBuffer:m->firstC
      destinationOffset:0
                   size:kBatch * kWidth * sizeof(float)];
  [blit endEncoding];
  [last commit];
  [last waitUntilCompleted];  // expect: required writes letters
  return peak;
}

#pragma mark - Text

typedef struct {
  unsigned char *bytes;
  size_t count;
  size_t places[kBatch];
} Text;

static BOOL read_text(Text *text, const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    const char *line = "she sells sea shells by the sea shore. ";
    text->count = 8000;
    text->bytes = (unsigned char *)malloc(text->count);
    for (size_t i = 0; i < text->count; ++i) text->bytes[i] = (unsigned char)line[i % strlen(line)];
  } else {
    fseek(file, 0, SEEK_END);
    text->count = (size_t)ftell(file);
    fseek(file, 0, SEEK_SET);
    text->bytes = (unsigned char *)malloc(text->count + 1);
    text->count = fread(text->bytes, 1, text->count, file);
    fclose(file);
  }
  for (int row = 0; row < kBatch; ++row) text->places[row] = text->count / kBatch * (size_t)row;
  return text->count > 1000;
}

/// Each row of the batch reads on where it stopped.
static void next_letters(LSTM *m, Text *text) {
  uint32_t *letters = (uint32_t *)m->letters.contents;
  for (int row = 0; row < kBatch; ++row) {
    for (int step = 0; step <= kSteps; ++step) {
      const size_t at = (text->places[row] + (size_t)step) % text->count;
      letters[step * kBatch + row] = text->bytes[at] & 127;
    }
    text->places[row] = (text->places[row] + kSteps) % text->count;
  }
}

static void new_mask(LSTM *m, float keep) {
  float *mask = (float *)m->mask.contents;
  for (int i = 0; i < kMaskSize; ++i) mask[i] = uniform(m) < keep ? 1 / keep : 0;
}

#pragma mark - Use

static uint32_t choose(LSTM *m, const float *scores, float heat) {
  float peak = scores[0];
  for (int i = 1; i < kLetters; ++i) peak = fmaxf(peak, scores[i]);
  float sum = 0;
  for (int i = 0; i < kLetters; ++i) sum += expf((scores[i] - peak) / heat);
  float left = uniform(m) * sum;
  for (int i = 0; i < kLetters; ++i) {
    left -= expf((scores[i] - peak) / heat);
    if (left <= 0) return (uint32_t)i;
  }
  return ' ';
}

/// The state of the first row takes the place of the one before; that is the whole cache.
static void keep_state(LSTM *m, Step *step) {
  id<MTLCommandBuffer> commands = [m->queue commandBuffer];
  id<MTLBlitCommandEncoder> blit = [commands blitCommandEncoder];
  [blit copyFromBuffer:step.h
           sourceOffset:0
               toBuffer:m->firstH
      destinationOffset:0
                   size:kWidth * sizeof(float)];
  [blit copyFromBuffer:step.c
           sourceOffset:0
               toBuffer:m->firstC
      destinationOffset:0
                   size:kWidth * sizeof(float)];
  [blit endEncoding];
  [commands commit];
  [commands waitUntilCompleted];  // expect: required writes first
}

static void generate(LSTM *m, char *out, int count, float heat) {
  uint32_t *letters = (uint32_t *)m->letters.contents;
  const float *scores = (const float *)m->scores.contents;
  memset(m->firstH.contents, 0, kBatch * kWidth * sizeof(float));
  memset(m->firstC.contents, 0, kBatch * kWidth * sizeof(float));
  uint32_t letter = 's';
  for (int i = 0; i < count; ++i) {
    letters[0] = letter;
    forward_step(m, 0, 1, NO);
    letter = choose(m, scores, heat);
    out[i] = letter >= 32 ? (char)letter : ' ';
    keep_state(m, m->steps[0]);
  }
  out[count] = 0;
  memset(m->firstH.contents, 0, kBatch * kWidth * sizeof(float));
  memset(m->firstC.contents, 0, kBatch * kWidth * sizeof(float));
}

static float evaluate(LSTM *m, Text *text, int batches) {
  float total = 0;
  for (int i = 0; i < batches; ++i) {
    next_letters(m, text);
    forward(m, NO);
    total += mean_loss(m);
  }
  return total / (float)batches;
}

static BOOL save_weight(Weight *one, FILE *file) {
  const size_t count = one.count;
  return fwrite(one.value.contents, sizeof(float), count, file) == count &&
         fwrite(one.memory.contents, sizeof(float), count, file) == count;
}

static BOOL load_weight(Weight *one, FILE *file) {
  const size_t count = one.count;
  return fread(one.value.contents, sizeof(float), count, file) == count &&
         fread(one.memory.contents, sizeof(float), count, file) == count;
}

static BOOL save(LSTM *m, const char *path) {
  FILE *file = fopen(path, "wb");
  if (file == NULL) return NO;
  const BOOL good = save_weight(m->table, file) && save_weight(m->wx, file) &&
                    save_weight(m->wh, file) && save_weight(m->bias, file) &&
                    save_weight(m->outWeight, file) && save_weight(m->outBias, file);
  fclose(file);
  return good;
}

static BOOL load(LSTM *m, const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) return NO;
  const BOOL good = load_weight(m->table, file) && load_weight(m->wx, file) &&
                    load_weight(m->wh, file) && load_weight(m->bias, file) &&
                    load_weight(m->outWeight, file) && load_weight(m->outBias, file);
  fclose(file);
  return good;
}

/// The slope by small differences beside the one that the way back has found.
static void check_gradient(LSTM *m, Text *text, uint32_t at) {
  const float small = 1e-3f;
  float *values = (float *)m->outWeight.value.contents;
  const float *slopes = (const float *)m->outWeight.grad.contents;
  next_letters(m, text);
  const float kept = values[at];
  values[at] = kept + small;
  forward(m, NO);
  const float above = mean_loss(m);
  values[at] = kept - small;
  forward(m, NO);
  const float below = mean_loss(m);
  values[at] = kept;
  printf("slope of %u: %.5f by differences, %.5f left over\n", at, (above - below) / (2 * small),
         slopes[at]);
}

/// How well each letter of a text is foreseen; the worst ones are named.
static void foresee(LSTM *m, Text *text) {
  float sums[kLetters] = {0};
  int counts[kLetters] = {0};
  const float *losses = (const float *)m->losses.contents;
  const uint32_t *letters = (const uint32_t *)m->letters.contents;
  for (int round = 0; round < 6; ++round) {
    next_letters(m, text);
    forward(m, NO);
    for (int i = 0; i < kSteps * kBatch; ++i) {
      const uint32_t letter = letters[kBatch + i] % kLetters;
      sums[letter] += losses[i];
      ++counts[letter];
    }
  }
  for (int rank = 0; rank < 5; ++rank) {
    int worst = 0;
    for (int letter = 1; letter < kLetters; ++letter) {
      if (counts[letter] == 0) continue;
      const float mean = sums[letter] / (float)counts[letter];
      if (counts[worst] == 0 || mean > sums[worst] / (float)counts[worst]) worst = letter;
    }
    if (counts[worst] == 0) break;
    printf("  '%c' %.3f\n", worst >= 32 ? worst : '?', sums[worst] / (float)counts[worst]);
    counts[worst] = 0;
  }
}

#pragma mark - Reports

/// Seconds of the day, for the log.
static void print_time(void) {
  const time_t now = time(NULL);
  struct tm parts;
  localtime_r(&now, &parts);
  printf("%02d:%02d:%02d ", parts.tm_hour, parts.tm_min, parts.tm_sec);
}

/// A bar of so many signs, filled by a share.
static void print_bar(float share, int width) {
  const int filled = (int)(share * (float)width);
  putchar('[');
  for (int i = 0; i < width; ++i) putchar(i < filled ? '#' : ' ');
  putchar(']');
}

typedef struct {
  float values[64];
  int count;
} Window;

static float window_add(Window *window, float value) {
  window->values[window->count++ % 64] = value;
  const int held = window->count < 64 ? window->count : 64;
  float sum = 0;
  for (int i = 0; i < held; ++i) sum += window->values[i];
  return sum / (float)held;
}

/// Sixteen bins from the smallest weight to the largest.
static void print_weights(const char *name, Weight *one) {
  const float *values = (const float *)one.value.contents;
  float low = values[0];
  float high = values[0];
  for (uint32_t i = 1; i < one.count; ++i) {
    low = fminf(low, values[i]);
    high = fmaxf(high, values[i]);
  }
  int bins[16] = {0};
  for (uint32_t i = 0; i < one.count; ++i) {
    int bin = high > low ? (int)((values[i] - low) / (high - low) * 16) : 0;
    if (bin > 15) bin = 15;
    ++bins[bin];
  }
  printf("%-10s %7.3f [", name, low);
  for (int bin = 0; bin < 16; ++bin) putchar(" .:-=+*#%@"[bins[bin] * 9 / (int)one.count]);
  printf("] %.3f\n", high);
}

static void report(LSTM *m) {
  print_weights("table", m->table);
  print_weights("input", m->wx);
  print_weights("hidden", m->wh);
  print_weights("bias", m->bias);
  print_weights("letters", m->outWeight);
}

typedef struct {
  const char *text;
  const char *file;
  int steps;
  float rate;
  float keep;
} Options;

static BOOL parse(int argc, const char **argv, Options *out) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "-text") == 0) {
      out->text = argv[i + 1];
    } else if (strcmp(argv[i], "-file") == 0) {
      out->file = argv[i + 1];
    } else if (strcmp(argv[i], "-steps") == 0) {
      out->steps = atoi(argv[i + 1]);
    } else if (strcmp(argv[i], "-rate") == 0) {
      out->rate = (float)atof(argv[i + 1]);
    } else if (strcmp(argv[i], "-keep") == 0) {
      out->keep = (float)atof(argv[i + 1]);
    } else {
      return NO;
    }
  }
  return argc % 2 == 1 && out->steps > 0 && out->keep > 0;
}

static LSTM model;

int main(int argc, const char **argv) {
  @autoreleasepool {
    Options options = {"text.txt", "lstm.bin", 500, 0.05f, 0.9f};
    if (!parse(argc, argv, &options)) {
      printf("usage: lstm [-text FILE] [-file FILE] [-steps N] [-rate R] [-keep SHARE]\n");
      return 2;
    }
    Text text;
    if (!read_text(&text, options.text) || !make_model(&model)) return 1;
    if (load(&model, options.file)) printf("goes on from %s\n", options.file);
    Window window = {{0}, 0};
    char sample[81];
    for (int step = 0; step < options.steps; ++step) {
      @autoreleasepool {
        next_letters(&model, &text);
        new_mask(&model, options.keep);
        forward(&model, YES);
        const float smooth = window_add(&window, mean_loss(&model));
        backward(&model);
        const float peak = update(&model, options.rate);
        if (step % 25 == 0) {
          print_time();
          print_bar((float)step / (float)options.steps, 30);
          printf(" step %d loss %.4f peak %.3f\n", step, smooth, peak);
        }
        if (step % 100 == 99) {
          printf("evaluation %.4f\n", evaluate(&model, &text, 4));
          generate(&model, sample, 80, 0.7f);
          printf("%s\n", sample);
          report(&model);
          check_gradient(&model, &text, next_random(&model) % (kLetters * kWidth));
          foresee(&model, &text);
          if (!save(&model, options.file)) printf("could not save\n");
        }
      }
    }
    free(text.bytes);
  }
  return 0;
}
