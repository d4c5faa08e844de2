#include "runtime/objects/regularizers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "frontend/keras/keras_objects.hpp"

namespace convsmith {
namespace {

double sum_of_magnitudes(const Tensor& tensor) {
  double sum = 0.0;
  for (const float x : tensor.data) sum += std::fabs(static_cast<double>(x));
  return sum;
}

double sum_of_squares(const Tensor& tensor) {
  double sum = 0.0;
  for (const float x : tensor.data) sum += static_cast<double>(x) * static_cast<double>(x);
  return sum;
}

// The sum over pairs of vectors of |cosine|, divided by the number of pairs (NaN for one vector, as in
// Keras).
double mean_cosine(const Tensor& matrix, bool of_rows) {
  const auto rows = static_cast<size_t>(matrix.shape[0]);
  const auto columns = static_cast<size_t>(matrix.shape[1]);
  const size_t count = of_rows ? rows : columns;
  const size_t size = of_rows ? columns : rows;
  std::vector<double> vectors(rows * columns);
  for (size_t i = 0; i < count; ++i) {
    double square = 0.0;
    for (size_t k = 0; k < size; ++k) {
      const double x = of_rows ? matrix.data[i * columns + k] : matrix.data[k * columns + i];
      vectors[i * size + k] = x;
      square += x * x;
    }
    for (size_t k = 0; k < size; ++k) vectors[i * size + k] /= std::sqrt(std::max(square, 1e-12));
  }
  double sum = 0.0;
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < i; ++j) {
      double cosine = 0.0;
      for (size_t k = 0; k < size; ++k) cosine += vectors[i * size + k] * vectors[j * size + k];
      sum += std::fabs(cosine);
    }
  }
  const auto n = static_cast<double>(count);
  return sum / (n * (n - 1.0) / 2.0);
}

}  // namespace

Result<double> regularization_loss(const Regularizer& given, std::string_view argument,
                                   const Tensor& tensor) {
  const Result<KerasObject> full = complete_keras_object(given, ObjectRole::kRegularizer, argument);
  if (!full) return tl::unexpected(full.error());
  if (full->class_name == "L1") return number_param(*full, "l1") * sum_of_magnitudes(tensor);
  if (full->class_name == "L2") return number_param(*full, "l2") * sum_of_squares(tensor);
  if (full->class_name == "L1L2") {
    return number_param(*full, "l1") * sum_of_magnitudes(tensor) +
           number_param(*full, "l2") * sum_of_squares(tensor);
  }
  if (tensor.shape.size() != 2) {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("`{}`: OrthogonalRegularizer is for tensors of 2 axes, got one of {}.",
                                  argument, tensor.shape.size()));
  }
  return number_param(*full, "factor") * mean_cosine(tensor, text_param(*full, "mode") == "rows");
}

}  // namespace convsmith
