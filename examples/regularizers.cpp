// The examples of https://keras.io/api/layers/regularizers/, line by line.
#include <cmath>
#include <convsmith/layers.hpp>
#include <cstdio>

using namespace convsmith;

// def l1_reg(weight_matrix): return 0.01 * ops.sum(ops.absolute(weight_matrix))
static double l1_reg(const Tensor& weight_matrix) {
  double sum = 0.0;
  for (const float w : weight_matrix.data) sum += std::abs(w);
  return 0.01 * sum;
}

static Tensor ones(std::vector<int64_t> shape, float times = 1.0F) {
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  return {std::move(shape), std::vector<float>(count, times)};
}

static double sum(const std::vector<double>& losses) {
  double total = 0.0;
  for (const double loss : losses) total += loss;
  return total;
}

int main() {
  // layer = Dense(units=64, kernel_regularizer=L1L2(l1=1e-5, l2=1e-4), bias_regularizer=L2(1e-4),
  //               activity_regularizer=L2(1e-5)), here with weights of 0.5 and 1
  layers::Dense all({.units = 64,
                     .kernel_initializer = initializers::constant(0.5),
                     .bias_initializer = "ones",
                     .kernel_regularizer = regularizers::L1L2(1e-5, 1e-4),
                     .bias_regularizer = regularizers::L2(1e-4),
                     .activity_regularizer = regularizers::L2(1e-5)});
  if (auto y = all(ones({2, 8})); !y) return std::puts(y.error().message.c_str()), 1;
  const auto losses = all.losses();
  for (const double loss : *losses) std::printf("%g ", loss);

  // layer = Dense(5, kernel_initializer='ones', kernel_regularizer=L1(0.01), activity_regularizer=L2(0.01))
  // tensor = ops.ones(shape=(5, 5)) * 2.0
  // out = layer(tensor)
  // ops.sum(layer.losses)  # 5.25: the kernel's term is 0.25, the activity's (after dividing by the batch) 5
  layers::Dense layer(5, {.kernel_initializer = "ones",
                          .kernel_regularizer = regularizers::L1(0.01),
                          .activity_regularizer = regularizers::L2(0.01)});
  auto out = layer(ones({5, 5}, 2.0F));
  if (!out) return std::puts(out.error().message.c_str()), 1;
  std::printf("| %g ", sum(layer.losses().value()));

  // layer = Dense(5, kernel_regularizer=l1_reg), or any other callable
  layers::Dense custom(5, {.kernel_initializer = "ones", .kernel_regularizer = l1_reg});
  if (auto y = custom(ones({5, 5})); !y) return std::puts(y.error().message.c_str()), 1;
  std::printf("| %g\n", sum(custom.losses().value()));
}
