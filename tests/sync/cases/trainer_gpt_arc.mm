// A GPT trainer under ARC. Every operation commits and waits; the host reads losses, logits and the
// gradient's norm, and overwrites the tokens of the step before.
#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <vector>

static const char* const kShaders = R"MSL(
#include <metal_stdlib>
using namespace metal;

kernel void embedTokens(device const float* tokens [[buffer(0)]],
                        device const float* table [[buffer(1)]],
                        device const float* positions [[buffer(2)]],
                        device float* out [[buffer(3)]],
                        constant uint& rows [[buffer(4)]],
                        constant uint& width [[buffer(5)]],
                        constant uint& offset [[buffer(6)]],
                        uint i [[thread_position_in_grid]]) {
  uint row = i / width;
  uint column = i % width;
  if (row >= rows) return;
  uint token = as_type<uint>(tokens[row]);
  out[i] = table[token * width + column] + positions[(row + offset) * width + column];
}

kernel void layerNorm(device const float* x [[buffer(0)]],
                      device const float* gain [[buffer(1)]],
                      device const float* shift [[buffer(2)]],
                      device float* out [[buffer(3)]],
                      device float* stats [[buffer(4)]],
                      constant uint& rows [[buffer(5)]],
                      constant uint& width [[buffer(6)]],
                      uint i [[thread_position_in_grid]]) {
  if (i >= rows) return;
  float mean = 0;
  for (uint k = 0; k < width; ++k) mean += x[i * width + k];
  mean /= width;
  float variance = 0;
  for (uint k = 0; k < width; ++k) {
    variance += (x[i * width + k] - mean) * (x[i * width + k] - mean);
  }
  float inverse = rsqrt(variance / width + 1e-5f);
  for (uint k = 0; k < width; ++k) out[i * width + k] = (x[i * width + k] - mean) * inverse * gain[k] + shift[k];
  stats[2 * i] = mean;
  stats[2 * i + 1] = inverse;
}

kernel void project(device const float* x [[buffer(0)]],
                    device const float* weight [[buffer(1)]],
                    device float* out [[buffer(2)]],
                    constant uint& rows [[buffer(3)]],
                    constant uint& inner [[buffer(4)]],
                    constant uint& width [[buffer(5)]],
                    uint i [[thread_position_in_grid]]) {
  uint row = i / width;
  uint column = i % width;
  if (row >= rows) return;
  float sum = 0;
  for (uint k = 0; k < inner; ++k) sum += x[row * inner + k] * weight[column * inner + k];
  out[i] = sum;
}

kernel void storeCache(device const float* qkv [[buffer(0)]],
                       device float* keys [[buffer(1)]],
                       device float* values [[buffer(2)]],
                       constant uint& rows [[buffer(3)]],
                       constant uint& width [[buffer(4)]],
                       constant uint& position [[buffer(5)]],
                       uint i [[thread_position_in_grid]]) {
  uint row = i / width;
  uint column = i % width;
  if (row >= rows) return;
  keys[(row + position) * width + column] = qkv[row * 3 * width + width + column];
  values[(row + position) * width + column] = qkv[row * 3 * width + 2 * width + column];
}

kernel void attentionScores(device const float* qkv [[buffer(0)]],
                            device const float* keys [[buffer(1)]],
                            device float* scores [[buffer(2)]],
                            constant uint& rows [[buffer(3)]],
                            constant uint& width [[buffer(4)]],
                            constant uint& heads [[buffer(5)]],
                            constant uint& position [[buffer(6)]],
                            uint i [[thread_position_in_grid]]) {
  uint head = i / rows;
  uint row = i % rows;
  if (head >= heads) return;
  uint size = width / heads;
  for (uint t = 0; t <= row + position; ++t) {
    float dot = 0;
    for (uint k = 0; k < size; ++k) {
      dot += qkv[row * 3 * width + head * size + k] * keys[t * width + head * size + k];
    }
    scores[(head * rows + row) * 256 + t] = dot * rsqrt(float(size));
  }
}

kernel void causalSoftmax(device float* scores [[buffer(0)]],
                          constant uint& rows [[buffer(1)]],
                          constant uint& heads [[buffer(2)]],
                          constant uint& position [[buffer(3)]],
                          uint i [[thread_position_in_grid]]) {
  if (i >= rows * heads) return;
  uint last = i % rows + position;
  float peak = -INFINITY;
  for (uint t = 0; t <= last; ++t) peak = max(peak, scores[i * 256 + t]);
  float sum = 0;
  for (uint t = 0; t <= last; ++t) {
    scores[i * 256 + t] = exp(scores[i * 256 + t] - peak);
    sum += scores[i * 256 + t];
  }
  for (uint t = 0; t <= last; ++t) scores[i * 256 + t] /= sum;
}

kernel void attentionMix(device const float* scores [[buffer(0)]],
                         device const float* values [[buffer(1)]],
                         device float* out [[buffer(2)]],
                         constant uint& rows [[buffer(3)]],
                         constant uint& width [[buffer(4)]],
                         constant uint& heads [[buffer(5)]],
                         constant uint& position [[buffer(6)]],
                         uint i [[thread_position_in_grid]]) {
  uint row = i / width;
  uint column = i % width;
  if (row >= rows) return;
  uint head = column / (width / heads);
  float sum = 0;
  for (uint t = 0; t <= row + position; ++t) sum += scores[(head * rows + row) * 256 + t] * values[t * width + column];
  out[i] = sum;
}

kernel void addResidual(device const float* branch [[buffer(0)]],
                        device float* stream [[buffer(1)]],
                        constant uint& count [[buffer(2)]],
                        uint i [[thread_position_in_grid]]) {
  if (i < count) stream[i] += branch[i];
}

kernel void gelu(device const float* x [[buffer(0)]],
                 device float* out [[buffer(1)]],
                 constant uint& count [[buffer(2)]],
                 uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  float v = x[i];
  out[i] = 0.5f * v * (1 + tanh(0.7978845608f * (v + 0.044715f * v * v * v)));
}

kernel void crossEntropy(device const float* logits [[buffer(0)]],
                         device const float* targets [[buffer(1)]],
                         device float* losses [[buffer(2)]],
                         device float* gradLogits [[buffer(3)]],
                         constant uint& rows [[buffer(4)]],
                         constant uint& classes [[buffer(5)]],
                         uint i [[thread_position_in_grid]]) {
  if (i >= rows) return;
  float peak = -INFINITY;
  for (uint c = 0; c < classes; ++c) peak = max(peak, logits[i * classes + c]);
  float sum = 0;
  for (uint c = 0; c < classes; ++c) sum += exp(logits[i * classes + c] - peak);
  uint target = as_type<uint>(targets[i]);
  losses[i] = log(sum) + peak - logits[i * classes + target];
  for (uint c = 0; c < classes; ++c) {
    float p = exp(logits[i * classes + c] - peak) / sum;
    gradLogits[i * classes + c] = (p - (c == target ? 1.0f : 0.0f)) / rows;
  }
}

kernel void projectInputGrad(device const float* gradOut [[buffer(0)]],
                             device const float* weight [[buffer(1)]],
                             device float* gradIn [[buffer(2)]],
                             constant uint& rows [[buffer(3)]],
                             constant uint& inner [[buffer(4)]],
                             constant uint& width [[buffer(5)]],
                             uint i [[thread_position_in_grid]]) {
  uint row = i / inner;
  uint k = i % inner;
  if (row >= rows) return;
  float sum = 0;
  for (uint c = 0; c < width; ++c) sum += gradOut[row * width + c] * weight[c * inner + k];
  gradIn[i] = sum;
}

kernel void projectWeightGrad(device const float* gradOut [[buffer(0)]],
                              device const float* x [[buffer(1)]],
                              device float* gradWeight [[buffer(2)]],
                              constant uint& rows [[buffer(3)]],
                              constant uint& inner [[buffer(4)]],
                              constant uint& width [[buffer(5)]],
                              uint i [[thread_position_in_grid]]) {
  uint column = i / inner;
  uint k = i % inner;
  if (column >= width) return;
  float sum = 0;
  for (uint row = 0; row < rows; ++row) sum += gradOut[row * width + column] * x[row * inner + k];
  gradWeight[i] += sum;
}

kernel void geluGrad(device const float* x [[buffer(0)]],
                     device float* grad [[buffer(1)]],
                     constant uint& count [[buffer(2)]],
                     uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  float v = x[i];
  float t = tanh(0.7978845608f * (v + 0.044715f * v * v * v));
  float d = 0.7978845608f * (1 + 3 * 0.044715f * v * v);
  grad[i] *= 0.5f * (1 + t) + 0.5f * v * (1 - t * t) * d;
}

kernel void attentionGrad(device const float* qkv [[buffer(0)]],
                          device const float* scores [[buffer(1)]],
                          device const float* gradOut [[buffer(2)]],
                          device float* gradQkv [[buffer(3)]],
                          constant uint& rows [[buffer(4)]],
                          constant uint& width [[buffer(5)]],
                          constant uint& heads [[buffer(6)]],
                          uint i [[thread_position_in_grid]]) {
  uint row = i / width;
  uint column = i % width;
  if (row >= rows) return;
  uint head = column / (width / heads);
  float value = 0;
  for (uint t = row; t < rows; ++t) value += scores[(head * rows + t) * 256 + row] * gradOut[t * width + column];
  gradQkv[row * 3 * width + 2 * width + column] = value;
  gradQkv[row * 3 * width + column] = value * qkv[row * 3 * width + width + column];
}

kernel void layerNormGrad(device const float* x [[buffer(0)]],
                          device const float* gain [[buffer(1)]],
                          device const float* stats [[buffer(2)]],
                          device const float* gradOut [[buffer(3)]],
                          device float* gradIn [[buffer(4)]],
                          device float* gradGain [[buffer(5)]],
                          device float* gradShift [[buffer(6)]],
                          constant uint& rows [[buffer(7)]],
                          constant uint& width [[buffer(8)]],
                          uint i [[thread_position_in_grid]]) {
  if (i >= rows) return;
  float mean = stats[2 * i];
  float inverse = stats[2 * i + 1];
  float first = 0;
  float second = 0;
  for (uint k = 0; k < width; ++k) {
    float g = gradOut[i * width + k] * gain[k];
    first += g;
    second += g * (x[i * width + k] - mean) * inverse;
  }
  for (uint k = 0; k < width; ++k) {
    float normal = (x[i * width + k] - mean) * inverse;
    gradIn[i * width + k] = inverse * (gradOut[i * width + k] * gain[k] - (first + normal * second) / width);
    gradGain[k] += gradOut[i * width + k] * normal;
    gradShift[k] += gradOut[i * width + k];
  }
}

kernel void embeddingGrad(device const float* tokens [[buffer(0)]],
                          device const float* gradOut [[buffer(1)]],
                          device float* gradTable [[buffer(2)]],
                          constant uint& rows [[buffer(3)]],
                          constant uint& width [[buffer(4)]],
                          uint i [[thread_position_in_grid]]) {
  if (i >= width) return;
  for (uint row = 0; row < rows; ++row) gradTable[as_type<uint>(tokens[row]) * width + i] += gradOut[row * width + i];
}

kernel void squaredNorm(device const float* grads [[buffer(0)]],
                        device float* norm [[buffer(1)]],
                        constant uint& count [[buffer(2)]],
                        uint i [[thread_position_in_grid]]) {
  if (i != 0) return;
  float sum = 0;
  for (uint k = 0; k < count; ++k) sum += grads[k] * grads[k];
  norm[0] = sum;
}

kernel void adamW(device float* params [[buffer(0)]],
                  device const float* grads [[buffer(1)]],
                  device float* first [[buffer(2)]],
                  device float* second [[buffer(3)]],
                  constant uint& count [[buffer(4)]],
                  constant float& rate [[buffer(5)]],
                  constant float& scale [[buffer(6)]],
                  constant float& decay [[buffer(7)]],
                  constant uint& step [[buffer(8)]],
                  uint i [[thread_position_in_grid]]) {
  if (i >= count) return;
  float g = grads[i] * scale;
  first[i] = 0.9f * first[i] + 0.1f * g;
  second[i] = 0.95f * second[i] + 0.05f * g * g;
  float m = first[i] / (1 - pow(0.9f, float(step)));
  float v = second[i] / (1 - pow(0.95f, float(step)));
  params[i] -= rate * (m / (sqrt(v) + 1e-8f) + decay * params[i]);
}

kernel void clearGrads(device float* grads [[buffer(0)]],
                       constant uint& count [[buffer(1)]],
                       uint i [[thread_position_in_grid]]) {
  if (i < count) grads[i] = 0;
}
)MSL";

struct GPTConfig {
  uint32_t vocabulary = 256;
  uint32_t context = 64;
  uint32_t width = 128;
  uint32_t heads = 4;
  uint32_t layers = 4;
  uint32_t hidden() const { return 4 * width; }
};

struct TrainOptions {
  int steps = 400;
  int evaluateEvery = 50;
  int sampleEvery = 100;
  int saveEvery = 200;
  float rate = 3e-4f;
  float decay = 0.1f;
  float clip = 1.0f;
  int warmUp = 20;
};

/// Bytes of a text file as tokens, in two parts.
class Corpus {
 public:
  explicit Corpus(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    for (char c = 0; in.get(c);) bytes_.push_back(static_cast<unsigned char>(c));
    if (bytes_.size() < 4096) {
      for (int i = 0; i < 4096; ++i)
        bytes_.push_back(static_cast<unsigned char>("abcdefgh \n"[i % 10]));
    }
    split_ = bytes_.size() * 9 / 10;
  }

  void sample(uint32_t* inputs, uint32_t* targets, uint32_t count, bool training) {
    const std::size_t begin = training ? 0 : split_;
    const std::size_t end = (training ? split_ : bytes_.size()) - count - 1;
    const std::size_t at = begin + next() % (end > begin ? end - begin : 1);
    for (uint32_t i = 0; i < count; ++i) {
      inputs[i] = bytes_[(at + i) % bytes_.size()];
      targets[i] = bytes_[(at + i + 1) % bytes_.size()];
    }
  }

 private:
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

  std::vector<unsigned char> bytes_;
  std::size_t split_ = 0;
  uint64_t state_ = 88172645463325252ULL;
};

/// Cosine decay after a linear start.
static float learningRate(const TrainOptions& options, int step) {
  if (step < options.warmUp) return options.rate * float(step + 1) / float(options.warmUp);
  const float progress = float(step - options.warmUp) / float(options.steps - options.warmUp);
  return options.rate * (0.1f + 0.45f * (1 + std::cos(3.14159265f * std::min(progress, 1.0f))));
}

@interface GPTLayer : NSObject
@property(nonatomic, strong) id<MTLBuffer> normGain1;
@property(nonatomic, strong) id<MTLBuffer> normShift1;
@property(nonatomic, strong) id<MTLBuffer> normGain2;
@property(nonatomic, strong) id<MTLBuffer> normShift2;
@property(nonatomic, strong) id<MTLBuffer> qkvWeight;
@property(nonatomic, strong) id<MTLBuffer> outWeight;
@property(nonatomic, strong) id<MTLBuffer> upWeight;
@property(nonatomic, strong) id<MTLBuffer> downWeight;
@property(nonatomic, strong) id<MTLBuffer> gradNorm;
@property(nonatomic, strong) id<MTLBuffer> gradQkvWeight;
@property(nonatomic, strong) id<MTLBuffer> gradOutWeight;
@property(nonatomic, strong) id<MTLBuffer> gradUpWeight;
@property(nonatomic, strong) id<MTLBuffer> gradDownWeight;
@property(nonatomic, strong) id<MTLBuffer> normed1;
@property(nonatomic, strong) id<MTLBuffer> stats1;
@property(nonatomic, strong) id<MTLBuffer> qkv;
@property(nonatomic, strong) id<MTLBuffer> scores;
@property(nonatomic, strong) id<MTLBuffer> mixed;
@property(nonatomic, strong) id<MTLBuffer> attended;
@property(nonatomic, strong) id<MTLBuffer> normed2;
@property(nonatomic, strong) id<MTLBuffer> stats2;
@property(nonatomic, strong) id<MTLBuffer> up;
@property(nonatomic, strong) id<MTLBuffer> activated;
@property(nonatomic, strong) id<MTLBuffer> down;
@property(nonatomic, strong) id<MTLBuffer> keys;
@property(nonatomic, strong) id<MTLBuffer> values;
@end

@implementation GPTLayer
@end

@interface GPTTrainer : NSObject
- (instancetype)initWithConfig:(GPTConfig)config;
- (void)train:(Corpus&)corpus options:(TrainOptions)options;
@end

@implementation GPTTrainer {
  GPTConfig _config;
  id<MTLDevice> _device;
  id<MTLCommandQueue> _queue;
  NSMutableDictionary<NSString*, id<MTLComputePipelineState>>* _pipelines;
  NSMutableArray<GPTLayer*>* _layers;
  id<MTLBuffer> _tokens;
  id<MTLBuffer> _targets;
  id<MTLBuffer> _table;
  id<MTLBuffer> _positions;
  id<MTLBuffer> _stream;
  id<MTLBuffer> _finalGain;
  id<MTLBuffer> _finalShift;
  id<MTLBuffer> _finalNormed;
  id<MTLBuffer> _finalStats;
  id<MTLBuffer> _logits;
  id<MTLBuffer> _losses;
  id<MTLBuffer> _gradLogits;
  id<MTLBuffer> _gradStream;
  id<MTLBuffer> _gradBranch;
  id<MTLBuffer> _gradHidden;
  id<MTLBuffer> _gradQkv;
  id<MTLBuffer> _gradTable;
  id<MTLBuffer> _params;
  id<MTLBuffer> _grads;
  id<MTLBuffer> _moment1;
  id<MTLBuffer> _moment2;
  id<MTLBuffer> _norm;
  uint32_t _parameterCount;
  std::mt19937 _random;
  std::vector<float> _history;
}

#pragma mark - Setting up

- (id<MTLBuffer>)floats:(NSUInteger)count {
  id<MTLBuffer> buffer = [_device newBufferWithLength:count * sizeof(float)
                                              options:MTLResourceStorageModeShared];
  memset(buffer.contents, 0, count * sizeof(float));
  return buffer;
}

- (id<MTLBuffer>)normal:(NSUInteger)count deviation:(float)deviation {
  id<MTLBuffer> buffer = [self floats:count];
  std::normal_distribution<float> draw(0.0f, deviation);
  float* values = (float*)buffer.contents;
  for (NSUInteger i = 0; i < count; ++i) values[i] = draw(_random);
  return buffer;
}

- (BOOL)buildPipelines {
  NSError* error = nil;
  id<MTLLibrary> library = [_device newLibraryWithSource:@(kShaders) options:nil error:&error];
  if (library == nil) {
    NSLog(@"shaders do not compile: %@", error);
    return NO;
  }
  _pipelines = [NSMutableDictionary new];
  NSArray<NSString*>* names = @[
    @"embedTokens",      @"layerNorm",         @"project",     @"storeCache",    @"attentionScores",
    @"causalSoftmax",    @"attentionMix",      @"addResidual", @"gelu",          @"crossEntropy",
    @"projectInputGrad", @"projectWeightGrad", @"geluGrad",    @"attentionGrad", @"layerNormGrad",
    @"embeddingGrad",    @"squaredNorm",       @"adamW",       @"clearGrads",
  ];
  for (NSString* name in names) {
    id<MTLFunction> function = [library newFunctionWithName:name];
    id<MTLComputePipelineState> state = [_device newComputePipelineStateWithFunction:function
                                                                               error:&error];
    if (state == nil) return NO;
    _pipelines[name] = state;
  }
  return YES;
}

- (GPTLayer*)makeLayer {
  const uint32_t rows = _config.context;
  const uint32_t width = _config.width;
  const uint32_t hidden = _config.hidden();
  GPTLayer* layer = [GPTLayer new];
  layer.normGain1 = [self normal:width deviation:0.02f];
  layer.normShift1 = [self floats:width];
  layer.normGain2 = [self normal:width deviation:0.02f];
  layer.normShift2 = [self floats:width];
  layer.qkvWeight = [self normal:3 * width * width deviation:0.02f];
  layer.outWeight = [self normal:width * width deviation:0.02f];
  layer.upWeight = [self normal:hidden * width deviation:0.02f];
  layer.downWeight = [self normal:width * hidden deviation:0.02f];
  layer.gradNorm = [self floats:width];
  layer.gradQkvWeight = [self floats:3 * width * width];
  layer.gradOutWeight = [self floats:width * width];
  layer.gradUpWeight = [self floats:hidden * width];
  layer.gradDownWeight = [self floats:width * hidden];
  layer.normed1 = [self floats:rows * width];
  layer.stats1 = [self floats:rows * 2];
  layer.qkv = [self floats:rows * 3 * width];
  layer.scores = [self floats:rows * _config.heads * 256];
  layer.mixed = [self floats:rows * width];
  layer.attended = [self floats:rows * width];
  layer.normed2 = [self floats:rows * width];
  layer.stats2 = [self floats:rows * 2];
  layer.up = [self floats:rows * hidden];
  layer.activated = [self floats:rows * hidden];
  layer.down = [self floats:rows * width];
  layer.keys = [self floats:256 * width];
  layer.values = [self floats:256 * width];
  return layer;
}

- (instancetype)initWithConfig:(GPTConfig)config {
  self = [super init];
  if (self == nil) return nil;
  _config = config;
  _random.seed(42);
  _device = MTLCreateSystemDefaultDevice();
  _queue = [_device newCommandQueue];
  if (![self buildPipelines]) return nil;
  const uint32_t rows = config.context;
  const uint32_t width = config.width;
  _tokens = [_device newBufferWithLength:rows * sizeof(uint32_t)
                                 options:MTLResourceStorageModeShared];
  _targets = [_device newBufferWithLength:rows * sizeof(uint32_t)
                                  options:MTLResourceStorageModeShared];
  _table = [self normal:config.vocabulary * width deviation:0.02f];
  _positions = [self normal:256 * width deviation:0.02f];
  _stream = [self floats:rows * width];
  _finalGain = [self normal:width deviation:0.02f];
  _finalShift = [self floats:width];
  _finalNormed = [self floats:rows * width];
  _finalStats = [self floats:rows * 2];
  _logits = [self floats:rows * config.vocabulary];
  _losses = [self floats:rows];
  _gradLogits = [self floats:rows * config.vocabulary];
  _gradStream = [self floats:rows * width];
  _gradBranch = [self floats:rows * config.hidden()];
  _gradHidden = [self floats:rows * config.hidden()];
  _gradQkv = [self floats:rows * 3 * width];
  _gradTable = [self floats:config.vocabulary * width];
  _parameterCount = config.layers * 12 * width * width;
  _params = [self normal:_parameterCount deviation:0.02f];
  _grads = [self floats:_parameterCount];
  _moment1 = [self floats:_parameterCount];
  _moment2 = [self floats:_parameterCount];
  _norm = [self floats:1];
  _layers = [NSMutableArray new];
  for (uint32_t i = 0; i < config.layers; ++i) [_layers addObject:[self makeLayer]];
  return self;
}

#pragma mark - Operations

- (void)dispatch:(id<MTLComputeCommandEncoder>)encoder
        pipeline:(id<MTLComputePipelineState>)pipeline
           count:(NSUInteger)count {
  NSUInteger group = pipeline.maxTotalThreadsPerThreadgroup;
  if (group > count) group = count;
  [encoder dispatchThreads:MTLSizeMake(count, 1, 1) threadsPerThreadgroup:MTLSizeMake(group, 1, 1)];
}

- (void)embedTokens:(id<MTLBuffer>)tokens
              table:(id<MTLBuffer>)table
          positions:(id<MTLBuffer>)positions
                out:(id<MTLBuffer>)out
               rows:(uint32_t)rows
              width:(uint32_t)width
             offset:(uint32_t)offset {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"embedTokens"]];
  [encoder setBuffer:tokens offset:0 atIndex:0];
  [encoder setBuffer:table offset:0 atIndex:1];
  [encoder setBuffer:positions offset:0 atIndex:2];
  [encoder setBuffer:out offset:0 atIndex:3];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:4];
  [encoder setBytes:&width length:sizeof(width) atIndex:5];
  [encoder setBytes:&offset length:sizeof(offset) atIndex:6];
  [self dispatch:encoder pipeline:_pipelines[@"embedTokens"] count:rows * width];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)layerNorm:(id<MTLBuffer>)x
             gain:(id<MTLBuffer>)gain
            shift:(id<MTLBuffer>)shift
              out:(id<MTLBuffer>)out
            stats:(id<MTLBuffer>)stats
             rows:(uint32_t)rows
            width:(uint32_t)width {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"layerNorm"]];
  [encoder setBuffer:x offset:0 atIndex:0];
  [encoder setBuffer:gain offset:0 atIndex:1];
  [encoder setBuffer:shift offset:0 atIndex:2];
  [encoder setBuffer:out offset:0 atIndex:3];
  [encoder setBuffer:stats offset:0 atIndex:4];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:5];
  [encoder setBytes:&width length:sizeof(width) atIndex:6];
  [self dispatch:encoder pipeline:_pipelines[@"layerNorm"] count:rows];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)project:(id<MTLBuffer>)x
         weight:(id<MTLBuffer>)weight
            out:(id<MTLBuffer>)out
           rows:(uint32_t)rows
          inner:(uint32_t)inner
          width:(uint32_t)width {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"project"]];
  [encoder setBuffer:x offset:0 atIndex:0];
  [encoder setBuffer:weight offset:0 atIndex:1];
  [encoder setBuffer:out offset:0 atIndex:2];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:3];
  [encoder setBytes:&inner length:sizeof(inner) atIndex:4];
  [encoder setBytes:&width length:sizeof(width) atIndex:5];
  [self dispatch:encoder pipeline:_pipelines[@"project"] count:rows * width];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: required reads logits
}

- (void)storeCache:(id<MTLBuffer>)qkv
              keys:(id<MTLBuffer>)keys
            values:(id<MTLBuffer>)values
              rows:(uint32_t)rows
             width:(uint32_t)width
          position:(uint32_t)position {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"storeCache"]];
  [encoder setBuffer:qkv offset:0 atIndex:0];
  [encoder setBuffer:keys offset:0 atIndex:1];
  [encoder setBuffer:values offset:0 atIndex:2];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:3];
  [encoder setBytes:&width length:sizeof(width) atIndex:4];
  [encoder setBytes:&position length:sizeof(position) atIndex:5];
  [self dispatch:encoder pipeline:_pipelines[@"storeCache"] count:rows * width];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)attentionScores:(id<MTLBuffer>)qkv
                   keys:(id<MTLBuffer>)keys
                 scores:(id<MTLBuffer>)scores
                   rows:(uint32_t)rows
                  width:(uint32_t)width
                  heads:(uint32_t)heads
               position:(uint32_t)position {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"attentionScores"]];
  [encoder setBuffer:qkv offset:0 atIndex:0];
  [encoder setBuffer:keys offset:0 atIndex:1];
  [encoder setBuffer:scores offset:0 atIndex:2];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:3];
  [encoder setBytes:&width length:sizeof(width) atIndex:4];
  [encoder setBytes:&heads length:sizeof(heads) atIndex:5];
  [encoder setBytes:&position length:sizeof(position) atIndex:6];
  [self dispatch:encoder pipeline:_pipelines[@"attentionScores"] count:rows * heads];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)causalSoftmax:(id<MTLBuffer>)scores
                 rows:(uint32_t)rows
                heads:(uint32_t)heads
             position:(uint32_t)position {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"causalSoftmax"]];
  [encoder setBuffer:scores offset:0 atIndex:0];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:1];
  [encoder setBytes:&heads length:sizeof(heads) atIndex:2];
  [encoder setBytes:&position length:sizeof(position) atIndex:3];
  [self dispatch:encoder pipeline:_pipelines[@"causalSoftmax"] count:rows * heads];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)attentionMix:(id<MTLBuffer>)scores
              values:(id<MTLBuffer>)values
                 out:(id<MTLBuffer>)out
                rows:(uint32_t)rows
               width:(uint32_t)width
               heads:(uint32_t)heads
            position:(uint32_t)position {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"attentionMix"]];
  [encoder setBuffer:scores offset:0 atIndex:0];
  [encoder setBuffer:values offset:0 atIndex:1];
  [encoder setBuffer:out offset:0 atIndex:2];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:3];
  [encoder setBytes:&width length:sizeof(width) atIndex:4];
  [encoder setBytes:&heads length:sizeof(heads) atIndex:5];
  [encoder setBytes:&position length:sizeof(position) atIndex:6];
  [self dispatch:encoder pipeline:_pipelines[@"attentionMix"] count:rows * width];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)addResidual:(id<MTLBuffer>)branch stream:(id<MTLBuffer>)stream count:(uint32_t)count {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"addResidual"]];
  [encoder setBuffer:branch offset:0 atIndex:0];
  [encoder setBuffer:stream offset:0 atIndex:1];
  [encoder setBytes:&count length:sizeof(count) atIndex:2];
  [self dispatch:encoder pipeline:_pipelines[@"addResidual"] count:count];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)gelu:(id<MTLBuffer>)x out:(id<MTLBuffer>)out count:(uint32_t)count {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"gelu"]];
  [encoder setBuffer:x offset:0 atIndex:0];
  [encoder setBuffer:out offset:0 atIndex:1];
  [encoder setBytes:&count length:sizeof(count) atIndex:2];
  [self dispatch:encoder pipeline:_pipelines[@"gelu"] count:count];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)crossEntropy:(id<MTLBuffer>)logits
             targets:(id<MTLBuffer>)targets
              losses:(id<MTLBuffer>)losses
          gradLogits:(id<MTLBuffer>)gradLogits
                rows:(uint32_t)rows
             classes:(uint32_t)classes {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"crossEntropy"]];
  [encoder setBuffer:logits offset:0 atIndex:0];
  [encoder setBuffer:targets offset:0 atIndex:1];
  [encoder setBuffer:losses offset:0 atIndex:2];
  [encoder setBuffer:gradLogits offset:0 atIndex:3];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:4];
  [encoder setBytes:&classes length:sizeof(classes) atIndex:5];
  [self dispatch:encoder pipeline:_pipelines[@"crossEntropy"] count:rows];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: required reads losses
}

- (void)projectInputGrad:(id<MTLBuffer>)gradOut
                  weight:(id<MTLBuffer>)weight
                  gradIn:(id<MTLBuffer>)gradIn
                    rows:(uint32_t)rows
                   inner:(uint32_t)inner
                   width:(uint32_t)width {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"projectInputGrad"]];
  [encoder setBuffer:gradOut offset:0 atIndex:0];
  [encoder setBuffer:weight offset:0 atIndex:1];
  [encoder setBuffer:gradIn offset:0 atIndex:2];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:3];
  [encoder setBytes:&inner length:sizeof(inner) atIndex:4];
  [encoder setBytes:&width length:sizeof(width) atIndex:5];
  [self dispatch:encoder pipeline:_pipelines[@"projectInputGrad"] count:rows * inner];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)projectWeightGrad:(id<MTLBuffer>)gradOut
                        x:(id<MTLBuffer>)x
               gradWeight:(id<MTLBuffer>)gradWeight
                     rows:(uint32_t)rows
                    inner:(uint32_t)inner
                    width:(uint32_t)width {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"projectWeightGrad"]];
  [encoder setBuffer:gradOut offset:0 atIndex:0];
  [encoder setBuffer:x offset:0 atIndex:1];
  [encoder setBuffer:gradWeight offset:0 atIndex:2];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:3];
  [encoder setBytes:&inner length:sizeof(inner) atIndex:4];
  [encoder setBytes:&width length:sizeof(width) atIndex:5];
  [self dispatch:encoder pipeline:_pipelines[@"projectWeightGrad"] count:inner * width];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)geluGrad:(id<MTLBuffer>)x grad:(id<MTLBuffer>)grad count:(uint32_t)count {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"geluGrad"]];
  [encoder setBuffer:x offset:0 atIndex:0];
  [encoder setBuffer:grad offset:0 atIndex:1];
  [encoder setBytes:&count length:sizeof(count) atIndex:2];
  [self dispatch:encoder pipeline:_pipelines[@"geluGrad"] count:count];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)attentionGrad:(id<MTLBuffer>)qkv
               scores:(id<MTLBuffer>)scores
              gradOut:(id<MTLBuffer>)gradOut
              gradQkv:(id<MTLBuffer>)gradQkv
                 rows:(uint32_t)rows
                width:(uint32_t)width
                heads:(uint32_t)heads {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"attentionGrad"]];
  [encoder setBuffer:qkv offset:0 atIndex:0];
  [encoder setBuffer:scores offset:0 atIndex:1];
  [encoder setBuffer:gradOut offset:0 atIndex:2];
  [encoder setBuffer:gradQkv offset:0 atIndex:3];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:4];
  [encoder setBytes:&width length:sizeof(width) atIndex:5];
  [encoder setBytes:&heads length:sizeof(heads) atIndex:6];
  [self dispatch:encoder pipeline:_pipelines[@"attentionGrad"] count:rows * width];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)layerNormGrad:(id<MTLBuffer>)x
                 gain:(id<MTLBuffer>)gain
                stats:(id<MTLBuffer>)stats
              gradOut:(id<MTLBuffer>)gradOut
               gradIn:(id<MTLBuffer>)gradIn
             gradGain:(id<MTLBuffer>)gradGain
            gradShift:(id<MTLBuffer>)gradShift
                 rows:(uint32_t)rows
                width:(uint32_t)width {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"layerNormGrad"]];
  [encoder setBuffer:x offset:0 atIndex:0];
  [encoder setBuffer:gain offset:0 atIndex:1];
  [encoder setBuffer:stats offset:0 atIndex:2];
  [encoder setBuffer:gradOut offset:0 atIndex:3];
  [encoder setBuffer:gradIn offset:0 atIndex:4];
  [encoder setBuffer:gradGain offset:0 atIndex:5];
  [encoder setBuffer:gradShift offset:0 atIndex:6];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:7];
  [encoder setBytes:&width length:sizeof(width) atIndex:8];
  [self dispatch:encoder pipeline:_pipelines[@"layerNormGrad"] count:rows];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)embeddingGrad:(id<MTLBuffer>)tokens
              gradOut:(id<MTLBuffer>)gradOut
            gradTable:(id<MTLBuffer>)gradTable
                 rows:(uint32_t)rows
                width:(uint32_t)width {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"embeddingGrad"]];
  [encoder setBuffer:tokens offset:0 atIndex:0];
  [encoder setBuffer:gradOut offset:0 atIndex:1];
  [encoder setBuffer:gradTable offset:0 atIndex:2];
  [encoder setBytes:&rows length:sizeof(rows) atIndex:3];
  [encoder setBytes:&width length:sizeof(width) atIndex:4];
  [self dispatch:encoder pipeline:_pipelines[@"embeddingGrad"] count:width];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

- (void)squaredNorm:(id<MTLBuffer>)grads norm:(id<MTLBuffer>)norm count:(uint32_t)count {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"squaredNorm"]];
  [encoder setBuffer:grads offset:0 atIndex:0];
  [encoder setBuffer:norm offset:0 atIndex:1];
  [encoder setBytes:&count length:sizeof(count) atIndex:2];
  [self dispatch:encoder pipeline:_pipelines[@"squaredNorm"] count:1];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: required reads norm
}

- (void)adamW:(id<MTLBuffer>)params
        grads:(id<MTLBuffer>)grads
        first:(id<MTLBuffer>)first
       second:(id<MTLBuffer>)second
        count:(uint32_t)count
         rate:(float)rate
        scale:(float)scale
        decay:(float)decay
         step:(uint32_t)step {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"adamW"]];
  [encoder setBuffer:params offset:0 atIndex:0];
  [encoder setBuffer:grads offset:0 atIndex:1];
  [encoder setBuffer:first offset:0 atIndex:2];
  [encoder setBuffer:second offset:0 atIndex:3];
  [encoder setBytes:&count length:sizeof(count) atIndex:4];
  [encoder setBytes:&rate length:sizeof(rate) atIndex:5];
  [encoder setBytes:&scale length:sizeof(scale) atIndex:6];
  [encoder setBytes:&decay length:sizeof(decay) atIndex:7];
  [encoder setBytes:&step length:sizeof(step) atIndex:8];
  [self dispatch:encoder pipeline:_pipelines[@"adamW"] count:count];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: required reads params
}

- (void)clearGrads:(id<MTLBuffer>)grads count:(uint32_t)count {
  id<MTLCommandBuffer> commandBuffer = [_queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
  [encoder setComputePipelineState:_pipelines[@"clearGrads"]];
  [encoder setBuffer:grads offset:0 atIndex:0];
  [encoder setBytes:&count length:sizeof(count) atIndex:1];
  [self dispatch:encoder pipeline:_pipelines[@"clearGrads"] count:count];
  [encoder endEncoding];
  [commandBuffer commit];
  [commandBuffer waitUntilCompleted];  // expect: redundant
}

#pragma mark - Passes

- (void)forwardRows:(uint32_t)rows position:(uint32_t)position {
  const uint32_t width = _config.width;
  const uint32_t heads = _config.heads;
  [self embedTokens:_tokens
              table:_table
          positions:_positions
                out:_stream
               rows:rows
              width:width
             offset:position];
  for (GPTLayer* layer in _layers) {
    [self layerNorm:_stream
               gain:layer.normGain1
              shift:layer.normShift1
                out:layer.normed1
              stats:layer.stats1
               rows:rows
              width:width];
    [self project:layer.normed1
           weight:layer.qkvWeight
              out:layer.qkv
             rows:rows
            inner:width
            width:3 * width];
    [self storeCache:layer.qkv
                keys:layer.keys
              values:layer.values
                rows:rows
               width:width
            position:position];
    [self attentionScores:layer.qkv
                     keys:layer.keys
                   scores:layer.scores
                     rows:rows
                    width:width
                    heads:heads
                 position:position];
    [self causalSoftmax:layer.scores rows:rows heads:heads position:position];
    [self attentionMix:layer.scores
                values:layer.values
                   out:layer.mixed
                  rows:rows
                 width:width
                 heads:heads
              position:position];
    [self project:layer.mixed
           weight:layer.outWeight
              out:layer.attended
             rows:rows
            inner:width
            width:width];
    [self addResidual:layer.attended stream:_stream count:rows * width];
    [self layerNorm:_stream
               gain:layer.normGain2
              shift:layer.normShift2
                out:layer.normed2
              stats:layer.stats2
               rows:rows
              width:width];
    [self project:layer.normed2
           weight:layer.upWeight
              out:layer.up
             rows:rows
            inner:width
            width:_config.hidden()];
    [self gelu:layer.up out:layer.activated count:rows * _config.hidden()];
    [self project:layer.activated
           weight:layer.downWeight
              out:layer.down
             rows:rows
            inner:_config.hidden()
            width:width];
    [self addResidual:layer.down stream:_stream count:rows * width];
  }
  [self layerNorm:_stream
             gain:_finalGain
            shift:_finalShift
              out:_finalNormed
            stats:_finalStats
             rows:rows
            width:width];
  [self project:_finalNormed
         weight:_table
            out:_logits
           rows:rows
          inner:width
          width:_config.vocabulary];
}

- (float)lossOfRows:(uint32_t)rows {
  [self crossEntropy:_logits
             targets:_targets
              losses:_losses
          gradLogits:_gradLogits
                rows:rows
             classes:_config.vocabulary];
  const float* losses = (const float*)_losses.contents;
  double sum = 0;
  for (uint32_t i = 0; i < rows; ++i) sum += losses[i];
  return float(sum / rows);
}

- (void)backwardRows:(uint32_t)rows {
  const uint32_t width = _config.width;
  const uint32_t hidden = _config.hidden();
  [self clearGrads:_grads count:_parameterCount];
  [self projectInputGrad:_gradLogits
                  weight:_table
                  gradIn:_gradBranch
                    rows:rows
                   inner:width
                   width:_config.vocabulary];
  [self projectWeightGrad:_gradLogits
                        x:_finalNormed
               gradWeight:_gradTable
                     rows:rows
                    inner:width
                    width:_config.vocabulary];
  [self layerNormGrad:_stream
                 gain:_finalGain
                stats:_finalStats
              gradOut:_gradBranch
               gradIn:_gradStream
             gradGain:_grads
            gradShift:_grads
                 rows:rows
                width:width];
  for (NSInteger at = (NSInteger)_layers.count - 1; at >= 0; --at) {
    GPTLayer* layer = _layers[at];
    [self projectInputGrad:_gradStream
                    weight:layer.downWeight
                    gradIn:_gradHidden
                      rows:rows
                     inner:hidden
                     width:width];
    [self projectWeightGrad:_gradStream
                          x:layer.activated
                 gradWeight:layer.gradDownWeight
                       rows:rows
                      inner:hidden
                      width:width];
    [self geluGrad:layer.up grad:_gradHidden count:rows * hidden];
    [self projectInputGrad:_gradHidden
                    weight:layer.upWeight
                    gradIn:_gradBranch
                      rows:rows
                     inner:width
                     width:hidden];
    [self projectWeightGrad:_gradHidden
                          x:layer.normed2
                 gradWeight:layer.gradUpWeight
                       rows:rows
                      inner:width
                      width:hidden];
    [self layerNormGrad:_stream
                   gain:layer.normGain2
                  stats:layer.stats2
                gradOut:_gradBranch
                 gradIn:_gradStream
               gradGain:layer.gradNorm
              gradShift:layer.gradNorm
                   rows:rows
                  width:width];
    [self projectInputGrad:_gradStream
                    weight:layer.outWeight
                    gradIn:_gradBranch
                      rows:rows
                     inner:width
                     width:width];
    [self projectWeightGrad:_gradStream
                          x:layer.mixed
                 gradWeight:layer.gradOutWeight
                       rows:rows
                      inner:width
                      width:width];
    [self attentionGrad:layer.qkv
                 scores:layer.scores
                gradOut:_gradBranch
                gradQkv:_gradQkv
                   rows:rows
                  width:width
                  heads:_config.heads];
    [self projectInputGrad:_gradQkv
                    weight:layer.qkvWeight
                    gradIn:_gradBranch
                      rows:rows
                     inner:width
                     width:3 * width];
    [self projectWeightGrad:_gradQkv
                          x:layer.normed1
                 gradWeight:layer.gradQkvWeight
                       rows:rows
                      inner:width
                      width:3 * width];
    [self layerNormGrad:_stream
                   gain:layer.normGain1
                  stats:layer.stats1
                gradOut:_gradBranch
                 gradIn:_gradStream
               gradGain:layer.gradNorm
              gradShift:layer.gradNorm
                   rows:rows
                  width:width];
  }
  [self embeddingGrad:_tokens gradOut:_gradStream gradTable:_gradTable rows:rows width:width];
}

- (float)updateWithRate:(float)rate decay:(float)decay clip:(float)clip step:(uint32_t)step {
  [self squaredNorm:_grads norm:_norm count:_parameterCount];
  const float norm = sqrtf(((const float*)_norm.contents)[0]);
  const float scale = norm > clip ? clip / norm : 1.0f;
  [self adamW:_params
        grads:_grads
        first:_moment1
       second:_moment2
        count:_parameterCount
         rate:rate
        scale:scale
        decay:decay
         step:step];
  return norm;
}

#pragma mark - Training

- (void)loadBatch:(Corpus&)corpus training:(BOOL)training {
  uint32_t* inputs = (uint32_t*)_tokens.contents;
  uint32_t* targets = (uint32_t*)_targets.contents;
  corpus.sample(inputs, targets, _config.context, training);
}

- (float)evaluate:(Corpus&)corpus batches:(int)batches {
  float total = 0;
  for (int i = 0; i < batches; ++i) {
    [self loadBatch:corpus training:NO];
    [self forwardRows:_config.context position:0];
    total += [self lossOfRows:_config.context];
  }
  return total / batches;
}

- (uint32_t)drawFrom:(const float*)scores temperature:(float)temperature {
  float peak = scores[0];
  for (uint32_t i = 1; i < _config.vocabulary; ++i) peak = MAX(peak, scores[i]);
  std::vector<float> weights(_config.vocabulary);
  for (uint32_t i = 0; i < _config.vocabulary; ++i) {
    weights[i] = expf((scores[i] - peak) / temperature);
  }
  std::discrete_distribution<uint32_t> pick(weights.begin(), weights.end());
  return pick(_random);
}

/// One token at a time; the cache holds the keys and values of those before.
- (std::string)generate:(int)count from:(uint32_t)start {
  std::string out;
  uint32_t token = start;
  uint32_t* tokens = (uint32_t*)_tokens.contents;
  const float* scores = (const float*)_logits.contents;
  for (int position = 0; position < count; ++position) {
    tokens[0] = token;
    [self forwardRows:1 position:(uint32_t)position];
    token = [self drawFrom:scores temperature:0.8f];
    out.push_back((char)token);
  }
  return out;
}

- (BOOL)write:(id<MTLBuffer>)buffer to:(FILE*)file {
  return fwrite(buffer.contents, 1, buffer.length, file) == buffer.length;
}

- (BOOL)saveTo:(NSString*)path step:(int)step {
  FILE* file = fopen(path.UTF8String, "wb");
  if (file == nullptr) return NO;
  fwrite(&step, sizeof(step), 1, file);
  const BOOL good = [self write:_params to:file] && [self write:_moment1 to:file] &&
                    [self write:_moment2 to:file];
  fclose(file);
  return good;
}

- (int)restoreFrom:(NSString*)path {
  FILE* file = fopen(path.UTF8String, "rb");
  if (file == nullptr) return 0;
  int step = 0;
  if (fread(&step, sizeof(step), 1, file) != 1) step = 0;
  for (int i = 0; i < 3; ++i) {
    id<MTLBuffer> buffer = i == 0 ? _params : i == 1 ? _moment1 : _moment2;
    if (fread(buffer.contents, 1, buffer.length, file) != buffer.length) step = 0;
  }
  fclose(file);
  return step;
}

- (void)train:(Corpus&)corpus options:(TrainOptions)options {
  const int first = [self restoreFrom:@"gpt.checkpoint"];
  for (int step = first; step < options.steps; ++step) {
    @autoreleasepool {
      [self loadBatch:corpus training:YES];
      [self forwardRows:_config.context position:0];
      const float loss = [self lossOfRows:_config.context];
      [self backwardRows:_config.context];
      const float norm = [self updateWithRate:learningRate(options, step)
                                        decay:options.decay
                                         clip:options.clip
                                         step:(uint32_t)step + 1];
      _history.push_back(loss);
      if (step % 10 == 0) NSLog(@"step %d loss %.4f norm %.3f", step, loss, norm);
      if (step % options.evaluateEvery == 0) {
        NSLog(@"step %d evaluation %.4f", step, [self evaluate:corpus batches:4]);
      }
      if (step % options.sampleEvery == 0) {
        NSLog(@"%s", [self generate:48 from:'a'].c_str());
      }
      if (step % options.saveEvery == options.saveEvery - 1) {
        [self saveTo:@"gpt.checkpoint" step:step + 1];
      }
    }
  }
}

@end

int main(int argc, const char** argv) {
  @autoreleasepool {
    Corpus corpus(argc > 1 ? argv[1] : "corpus.txt");
    GPTConfig config;
    TrainOptions options;
    if (argc > 2) options.steps = atoi(argv[2]);
    GPTTrainer* trainer = [[GPTTrainer alloc] initWithConfig:config];
    if (trainer == nil) return 1;
    [trainer train:corpus options:options];
  }
  return 0;
}
