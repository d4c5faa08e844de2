// The examples of https://keras.io/api/layers/core_layers/dense/: a first layer of 32 units on 16 features,
// and what it computes.
#include <convsmith/layers.hpp>
#include <cstdio>

using namespace convsmith;

int main() {
  // model = Sequential([Input(shape=(16,)), Dense(32, activation='relu'), Dense(32)])
  layers::Sequential model;
  model.add(layers::InputLayer({16}));
  model.add(layers::Dense(32, {.activation = "relu"}));
  model.add(layers::Dense(32));
  if (auto built = model.build(); !built) return std::puts(built.error().message.c_str()), 1;
  const Shape shape = model.output_shape().value();  // (None, 32)
  std::printf("(%s, %lld)\n", shape[0] ? "?" : "None", static_cast<long long>(*shape[1]));

  // output = activation(dot(input, kernel) + bias)
  layers::Dense dense({.units = 2, .activation = "relu"});
  if (auto built = dense.build({1, 3}); !built) return std::puts(built.error().message.c_str()), 1;
  const Tensor kernel{{3, 2}, {1, -1, 2, -2, 3, -3}}, bias{{2}, {0.5F, 1.0F}};
  if (auto set = dense.set_weights({kernel, bias}); !set) return std::puts(set.error().message.c_str()), 1;
  auto y = dense({{1, 3}, {1, 1, 1}});
  if (!y) return std::puts(y.error().message.c_str()), 1;
  std::printf("%g %g\n", y->data[0], y->data[1]);
}
