// A pointer that travels as a number: through parameters, fields and returned values.
#include <cuda_runtime.h>
#include <stdio.h>

#include <cstdint>

struct Handle {
  uint64_t address;
  int at;
};

struct Box {
  uint64_t address;
  explicit Box(float *p) : address((uint64_t)p) {}
  float first() const { return ((float *)address)[0]; }
};

__global__ void work(float *d);

static uint64_t number_of(float *p) { return (uint64_t)p; }
static float *pointer_of(uint64_t x) { return reinterpret_cast<float *>(x & ~uint64_t(1)); }

static void print_number(uintptr_t x) { printf("%f", ((float *)x)[0]); }
static void print_tagged(uint64_t x) {
  uint64_t copy = x;
  printf("%f", *pointer_of(copy));
}
static void print_handle(Handle h) { printf("%f", ((float *)h.address)[h.at]); }

static void submit(float *d, float *h, cudaStream_t s) {
  work<<<1, 1, 0, s>>>(d);
  cudaMemcpyAsync(h, d, 4, cudaMemcpyDeviceToHost, s);
}

void parameter(float *h, float *d, cudaStream_t s) {
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  print_number((uintptr_t)h);
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  printf("%f", h[1]);
}

void variable(float *h, float *d, cudaStream_t s) {
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  uintptr_t number = (uintptr_t)h;
  print_number(number);
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  printf("%f", h[1]);
}

void returned(float *h, float *d, cudaStream_t s) {
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  print_tagged(number_of(h));
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  printf("%f", h[1]);
}

void field(float *h, float *d, cudaStream_t s) {
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  Handle one;
  one.address = number_of(h);
  one.at = 2;
  Handle other = one;
  print_handle(other);
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  printf("%f", h[1]);
}

void listed(float *h, float *d, cudaStream_t s) {
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  print_handle(Handle{(uint64_t)h, 1});
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  printf("%f", h[1]);
}

void object(float *h, float *d, cudaStream_t s) {
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  Box box(h);
  printf("%f", box.first());
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  printf("%f", h[1]);
}

// What the device writes is the number, or the pointer, itself.
void written(float *d, uint64_t *from, cudaStream_t s) {
  uint64_t number = 0;
  cudaMemcpyAsync(&number, from, 8, cudaMemcpyDeviceToHost, s);
  cudaStreamSynchronize(s);  // expect: required reads number
  if (number > 5) printf("large");
  work<<<1, 1, 0, s>>>(d);
  cudaStreamSynchronize(s);  // expect: required
  printf("%p", (float *)number);
}

void written_pointer(float *d, float **from, cudaStream_t s) {
  float *pointer = nullptr;
  cudaMemcpyAsync(&pointer, from, 8, cudaMemcpyDeviceToHost, s);
  cudaStreamSynchronize(s);  // expect: required reads pointer
  if (pointer != nullptr) printf("there");
  work<<<1, 1, 0, s>>>(d);
  cudaStreamSynchronize(s);  // expect: required
}

// A number that is none.
void count(float *h, float *d, cudaStream_t s, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) work<<<1, 1, 0, s>>>(d);
  cudaStreamSynchronize(s);  // expect: redundant
  submit(d, h, s);
  cudaStreamSynchronize(s);  // expect: required reads h
  printf("%f", h[n]);
}
