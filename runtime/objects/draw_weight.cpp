#include "runtime/objects/draw_weight.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "codegen/control_word.hpp"
#include "frontend/keras/keras_objects.hpp"
#include "runtime/objects/random.hpp"

namespace convsmith {
namespace {

using Kind = Draw::Kind;

// Standard deviation of a standard normal distribution truncated at two, as Keras has it.
constexpr double kTruncatedStddev = 0.87962566103423978;
constexpr double kMaxFloats = 0x1p31;
// Orthogonal costs rows * columns^2; this many multiplications take minutes.
constexpr double kMaxOrthogonalWork = 0x1p37;

struct Scaling {
  double scale = 1.0;
  std::string_view mode = "fan_in";
  std::string_view distribution = "truncated_normal";
};

Draw plan_scaling(const Scaling& scaling, const std::vector<int64_t>& shape) {
  const Fans fans = compute_fans(shape);
  const double n = scaling.mode == "fan_in"    ? fans.in
                   : scaling.mode == "fan_out" ? fans.out
                                               : (fans.in + fans.out) / 2.0;
  const double variance = scaling.scale / std::max(1.0, n);
  if (scaling.distribution == "uniform") {
    const double limit = std::sqrt(3.0 * variance);
    return {Kind::kUniform, -limit, limit};
  }
  if (scaling.distribution == "untruncated_normal") return {Kind::kNormal, 0.0, std::sqrt(variance)};
  return {Kind::kTruncatedNormal, 0.0, std::sqrt(variance) / kTruncatedStddev};
}

// GlorotUniform and its five relatives.
Scaling scaling_of_class(std::string_view name) {
  const bool glorot = name.starts_with("Glorot");
  return {name.starts_with("He") ? 2.0 : 1.0, glorot ? "fan_avg" : "fan_in",
          name.ends_with("Uniform") ? "uniform" : "truncated_normal"};
}

void fill_uniform(Random& random, double low, double high, std::vector<float>& out) {
  const auto below = static_cast<float>(high);
  const bool is_open = static_cast<float>(low) < below;
  for (float& x : out) {
    x = static_cast<float>(low + random.unit() * (high - low));
    if (is_open && x >= below) x = std::nextafter(below, static_cast<float>(low));  // rounded up to the end
  }
}

void fill_normal(Random& random, const Draw& draw, std::vector<float>& out) {
  for (float& x : out) {
    double z = random.normal();
    while (draw.kind == Kind::kTruncatedNormal && std::fabs(z) > 2.0) z = random.normal();
    x = static_cast<float>(draw.a + draw.b * z);
  }
}

double dot(const double* x, const double* y, size_t size) {
  double sum = 0.0;
  for (size_t i = 0; i < size; ++i) sum += x[i] * y[i];
  return sum;
}

// The Q of a random normal matrix's QR decomposition with a positive diagonal of R, column by column
// (Gram-Schmidt, each projection done twice, which is orthogonal to the last bits).
std::vector<double> draw_orthonormal_columns(Random& random, size_t rows, size_t columns) {
  std::vector<double> q(rows * columns);
  for (size_t j = 0; j < columns; ++j) {
    double* column = &q[j * rows];
    double norm = 0.0;
    while (norm == 0.0) {
      for (size_t i = 0; i < rows; ++i) column[i] = random.normal();
      for (size_t k = 0; k < 2 * j; ++k) {
        const double* other = &q[k % j * rows];
        const double part = dot(column, other, rows);
        for (size_t i = 0; i < rows; ++i) column[i] -= part * other[i];
      }
      norm = std::sqrt(dot(column, column, rows));
    }
    for (size_t i = 0; i < rows; ++i) column[i] /= norm;
  }
  return q;
}

void fill_orthogonal(Random& random, double gain, size_t columns, std::vector<float>& out) {
  const size_t rows = out.size() / columns;
  const size_t tall = std::max(rows, columns);
  const std::vector<double> q = draw_orthonormal_columns(random, tall, std::min(rows, columns));
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) {
      const double value = rows >= columns ? q[j * tall + i] : q[i * tall + j];
      out[i * columns + j] = static_cast<float>(gain * value);
    }
  }
}

Result<size_t> count_floats(std::string_view argument, const std::vector<int64_t>& shape) {
  double floats = 1.0;
  for (const int64_t size : shape) floats *= static_cast<double>(size);
  if (floats > kMaxFloats) {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("`{}` cannot draw a weight of shape ({}), which has more than {} elements.",
                                  argument, fmt::join(shape, ", "), static_cast<int64_t>(kMaxFloats)));
  }
  return static_cast<size_t>(floats);
}

Result<void> check_matrix(const Draw& draw, std::string_view argument, const std::vector<int64_t>& shape) {
  if (draw.kind == Kind::kIdentity && shape.size() != 2) {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("`{}`: Identity makes matrices only, but the weight has the shape ({}).",
                                  argument, fmt::join(shape, ", ")));
  }
  if (draw.kind != Kind::kOrthogonal) return {};
  double rows = 1.0;
  for (const int64_t size : shape) rows *= static_cast<double>(size);
  const double columns = shape.empty() ? 1.0 : std::max(static_cast<double>(shape.back()), 1.0);
  rows /= columns;
  if (shape.size() < 2 || rows * columns * std::min(rows, columns) > kMaxOrthogonalWork) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("`{}`: Orthogonal needs a weight of at least two axes and of a size that can be "
                    "orthogonalized in minutes, but its shape is ({}).",
                    argument, fmt::join(shape, ", ")));
  }
  return {};
}

}  // namespace

Fans compute_fans(const std::vector<int64_t>& shape) {
  if (shape.empty()) return {};
  if (shape.size() == 1) return {static_cast<double>(shape[0]), static_cast<double>(shape[0])};
  double field = 1.0;
  for (size_t i = 0; i + 2 < shape.size(); ++i) field *= static_cast<double>(shape[i]);
  return {field * static_cast<double>(shape[shape.size() - 2]), field * static_cast<double>(shape.back())};
}

Result<Draw> plan_draw(const Initializer& given, std::string_view argument,
                       const std::vector<int64_t>& shape) {
  Result<KerasObject> full = complete_keras_object(given, ObjectRole::kInitializer, argument);
  if (!full) return tl::unexpected(full.error());
  const std::string_view name = full->class_name;
  auto number = [&](std::string_view param) { return number_param(*full, param); };
  if (name == "Zeros") return Draw{Kind::kConstant, 0.0};
  if (name == "Ones") return Draw{Kind::kConstant, 1.0};
  if (name == "Constant") return Draw{Kind::kConstant, number("value")};
  if (name == "RandomUniform") return Draw{Kind::kUniform, number("minval"), number("maxval")};
  if (name == "RandomNormal") return Draw{Kind::kNormal, number("mean"), number("stddev")};
  if (name == "TruncatedNormal") return Draw{Kind::kTruncatedNormal, number("mean"), number("stddev")};
  if (name == "Orthogonal") return Draw{Kind::kOrthogonal, number("gain")};
  if (name == "Identity") return Draw{Kind::kIdentity, number("gain")};
  if (name == "VarianceScaling") {
    if (number("scale") <= 0.0) {
      return make_error(
          ErrorCode::kInvalidSpec,
          fmt::format("`{}`: scale of VarianceScaling must be above 0, got {}.", argument, number("scale")));
    }
    return plan_scaling({number("scale"), text_param(*full, "mode"), text_param(*full, "distribution")},
                        shape);
  }
  if (name == "STFT") {
    return make_error(
        ErrorCode::kUnsupported,
        fmt::format("`{}` is STFT, which is not drawn; give the weights themselves.", argument));
  }
  return plan_scaling(scaling_of_class(name), shape);
}

Result<Tensor> draw_weight(const Initializer& initializer, std::string_view argument,
                           const std::vector<int64_t>& shape, uint64_t seed, uint64_t stream) {
  const ScopedControlWord modes(kUsualModes);
  const Result<Draw> draw = plan_draw(initializer, argument, shape);
  if (!draw) return tl::unexpected(draw.error());
  const Result<size_t> floats = count_floats(argument, shape);
  if (!floats) return tl::unexpected(floats.error());
  if (Result<void> fits = check_matrix(*draw, argument, shape); !fits) return tl::unexpected(fits.error());
  const int64_t* own_seed = find_integer_param(initializer, "seed");
  Random random = own_seed != nullptr ? Random(static_cast<uint64_t>(*own_seed)) : Random(seed, stream);
  Tensor out{shape, std::vector<float>(*floats)};
  if (out.data.empty()) return out;
  switch (draw->kind) {
    case Kind::kConstant:
      std::fill(out.data.begin(), out.data.end(), static_cast<float>(draw->a));
      break;
    case Kind::kUniform:
      fill_uniform(random, draw->a, draw->b, out.data);
      break;
    case Kind::kNormal:
    case Kind::kTruncatedNormal:
      fill_normal(random, *draw, out.data);
      break;
    case Kind::kOrthogonal:
      fill_orthogonal(random, draw->a, static_cast<size_t>(shape.back()), out.data);
      break;
    case Kind::kIdentity:
      for (size_t i = 0; i < static_cast<size_t>(std::min(shape[0], shape[1])); ++i) {
        out.data[i * static_cast<size_t>(shape[1]) + i] = static_cast<float>(draw->a);
      }
      break;
  }
  return out;
}

}  // namespace convsmith
