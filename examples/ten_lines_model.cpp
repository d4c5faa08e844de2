#include <convsmith/model.hpp>
#include <cstdio>
#include <vector>

int main() {
  auto model = convsmith::load_model({.path = "examples/ecg/model.keras"});  // or .h5, or .json with .weights
  if (!model) return std::puts(model.error().message.c_str()), 1;
  auto compiled = convsmith::compile(*model);
  if (!compiled) return std::puts(compiled.error().message.c_str()), 1;
  std::vector<float> x(2 * 1024, 0.5F), y(2 * 1024);
  auto status = compiled->run(x.data(), y.data(), 2, 1024);  // 2 samples of 1024 steps; any numbers will do
  std::printf("%d passes over memory: %s\n", compiled->passes(), convsmith::describe(status));
}
