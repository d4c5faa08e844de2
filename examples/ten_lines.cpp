#include <convsmith/convsmith.hpp>
#include <cstdio>
#include <vector>

int main() {
  auto layer = convsmith::compile("Conv1D(32, 3, activation='relu', input_shape=(None, 128))");
  if (!layer) return std::puts(layer.error().message.c_str()), 1;
  std::vector<float> kernel(3 * 128 * 32, 0.01F), bias(32, 0.5F);  // shapes and order as in Keras
  auto weights = layer->pack(kernel, bias);
  std::vector<float> x(4 * 10 * 128, 1.0F), y(4 * 8 * 32);
  layer->run(*weights, x.data(), y.data(), 4, 10);  // 4 samples of 10 steps; any numbers will do
  std::printf("%g\n", y[0]);
}
