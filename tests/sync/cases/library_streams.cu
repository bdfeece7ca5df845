// A library's work goes to its handle's stream: the default one until another is given.
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <stdio.h>

__global__ void relu(float *x, int n);

static const float kOne = 1;
static const float kZero = 0;

static void multiply(cublasHandle_t handle, float *c, const float *a, const float *b) {
  cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 32, 32, 32, &kOne, a, 32, b, 32, &kZero, c, 32);
}

struct Net {
  cublasHandle_t handle;
  cudaStream_t stream;
  float *a;
  float *b;
  float *c;

  Net() {
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cublasCreate(&handle);
    cublasSetStream(handle, stream);
    cudaMalloc(&a, 4096);
    cudaMalloc(&b, 4096);
    cudaMalloc(&c, 4096);
  }

  float on_one_stream() {
    float out;
    multiply(handle, c, a, b);
    cudaStreamSynchronize(stream);  // expect: redundant
    relu<<<4, 256, 0, stream>>>(c, 1024);
    cudaStreamSynchronize(stream);  // expect: redundant
    multiply(handle, a, c, b);
    cudaMemcpyAsync(&out, a, 4, cudaMemcpyDeviceToHost, stream);
    cudaStreamSynchronize(stream);  // expect: required reads out
    return out;
  }

  float on_two_streams(cudaStream_t other) {
    float out;
    multiply(handle, c, a, b);
    cudaStreamSynchronize(stream);  // expect: required
    relu<<<4, 256, 0, other>>>(c, 1024);
    cudaMemcpyAsync(&out, c, 4, cudaMemcpyDeviceToHost, other);
    cudaStreamSynchronize(other);  // expect: required reads out
    return out;
  }

  float on_a_stream_given_later(cudaStream_t other) {
    float out;
    multiply(handle, c, a, b);
    cudaStreamSynchronize(stream);  // expect: deferrable
    cublasSetStream(handle, other);
    multiply(handle, a, c, b);
    cudaMemcpyAsync(&out, a, 4, cudaMemcpyDeviceToHost, other);
    cudaStreamSynchronize(other);  // expect: deferrable
    cublasSetStream(handle, stream);
    return out;
  }
};

static float on_the_default_stream(float *a, float *b, float *c) {
  cublasHandle_t handle;
  cublasCreate(&handle);
  float host[1024];
  multiply(handle, c, a, b);
  cudaDeviceSynchronize();  // expect: redundant
  relu<<<4, 256>>>(c, 1024);
  cudaDeviceSynchronize();  // expect: redundant
  multiply(handle, a, c, b);
  cublasGetMatrix(32, 32, sizeof(float), a, 32, host, 32);
  cublasDestroy(handle);
  return host[0];
}

int main() {
  Net net;
  cudaStream_t other;
  cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
  for (int i = 0; i < 10; ++i) {
    printf("%f\n", net.on_one_stream());
    printf("%f\n", net.on_two_streams(other));
    printf("%f\n", net.on_a_stream_given_later(other));
    printf("%f\n", on_the_default_stream(net.a, net.b, net.c));
  }
  return 0;
}
