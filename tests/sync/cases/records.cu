// Host reads and writes that no plain load or store shows: copies of records, references that a
// library takes, operators.
#include <cuda_runtime.h>

#include <algorithm>
#include <complex>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

struct Particle {
  float x;
  float y;
};
struct Vec {
  float x;
  Vec operator+(const Vec& o) const { return {x + o.x}; }
  Vec& operator+=(const Vec& o) {
    x += o.x;
    return *this;
  }
};
Particle last;

template <class T>
__global__ void work(T* x) {
  x[threadIdx.x] = x[threadIdx.x + 1];
}
static float first(Particle p) { return p.x; }

float copy_of_a_record(Particle* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required reads d
  Particle p = *d;
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
  return p.x;
}

void assignment_of_a_record(Particle* d, Particle q) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required writes d
  *d = q;
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
}

void to_a_global(Particle* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required reads d
  last = *d;
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
}

float by_value(Particle* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required reads d
  const float x = first(*d);
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
  return x;
}

Particle returned(Particle* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required reads d
  return d[1];
}

float bound(float* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required reads d
  auto [x, y] = *reinterpret_cast<Particle*>(d);
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
  return x + y;
}

void swapped(float* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required writes d
  std::swap(d[0], d[1]);
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
}

float pushed(float* d) {
  std::vector<float> v;
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required reads d
  v.push_back(d[0]);
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
  return v[0];
}

float greater(float* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required reads d
  const float m = std::max(d[0], d[1]);
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
  return m;
}

float product(std::complex<float>* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required reads d
  auto m = d[0] * d[1];
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
  return m.real();
}

float real_part(std::complex<float>* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required reads d
  const float m = d->real();
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
  return m;
}

void added_to(std::complex<float>* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required writes d
  d[0] += 1.0F;
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
}

float held(float* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required reads d
  std::optional<float> o(d[0]);
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
  return *o;
}

float made(Particle* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required reads d
  auto p = std::make_unique<Particle>(*d);
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
  return p->x;
}

float own_operators(Vec* d) {
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required reads d
  Vec sum = d[0] + d[1];
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required writes d
  d[2] += sum;
  work<<<1, 64>>>(d);
  cudaDeviceSynchronize();  // expect: required
  return sum.x;
}

float row(float (*d)[4]) {
  work<<<1, 64>>>(d[0]);
  cudaDeviceSynchronize();  // expect: required reads d
  const float m = d[1][2];
  work<<<1, 64>>>(d[0]);
  cudaDeviceSynchronize();  // expect: required
  return m;
}
