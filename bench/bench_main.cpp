#include "bench/bench_main.hpp"

#include <benchmark/benchmark.h>

#include "bench/shapes.hpp"

namespace {

// The value of --`name`=VALUE among the arguments, which lose it; `otherwise` if there is none.
std::string take_option(int& argc, char** argv, const std::string& name, const std::string& otherwise) {
  const std::string prefix = "--" + name + "=";
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (!argument.starts_with(prefix)) continue;
    for (int j = i; j + 1 < argc; ++j) argv[j] = argv[j + 1];
    --argc;
    return argument.substr(prefix.size());
  }
  return otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  convsmith::bench::Options options;
  options.backend = take_option(argc, argv, "backend", "");
  options.isa = take_option(argc, argv, "isa", "auto");
  options.shapes = take_option(argc, argv, "shapes", convsmith::bench::default_shapes());
  convsmith::bench::add_benchmarks(options);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
