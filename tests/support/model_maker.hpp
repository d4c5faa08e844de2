// Models by hand, as the readers of files would make them, with weights from a generator of random numbers.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "convsmith/activation.hpp"
#include "frontend/model_spec.hpp"

namespace convsmith::test {

class ModelMaker {
 public:
  // `next`: the values of weights, one after the other.
  explicit ModelMaker(std::function<float()> next) : next_(std::move(next)) { model_.name = "model"; }

  int input(Shape shape) {
    const int node = add("input", "InputLayer", InputOp{std::move(shape)}, {}, {});
    model_.inputs.push_back(node);
    return node;
  }

  int add(std::string name, std::string class_name, LayerOp op, std::vector<int> inputs,
          const std::vector<std::vector<int64_t>>& weight_shapes) {
    ModelLayer layer{std::move(name), std::move(class_name), std::move(op), {}};
    for (const std::vector<int64_t>& shape : weight_shapes) {
      Tensor tensor{shape, {}};
      int64_t size = 1;
      for (const int64_t axis : shape) size *= axis;
      for (int64_t i = 0; i < size; ++i) tensor.data.push_back(next_());
      layer.weights.push_back(std::move(tensor));
    }
    model_.layers.push_back(std::move(layer));
    return call(static_cast<int>(model_.layers.size()) - 1, std::move(inputs));
  }
  // A further call of the layer.
  int call(int layer, std::vector<int> inputs) {
    model_.nodes.push_back({layer, std::move(inputs)});
    return static_cast<int>(model_.nodes.size()) - 1;
  }

  int conv(std::string name, int in, LayerSpec spec, int64_t channels) {
    spec.kind = LayerKind::kConv1D;
    return with_bias(std::move(name), "Conv1D", in, spec,
                     {spec.kernel_size, channels / spec.groups, spec.filters});
  }
  int transposed(std::string name, int in, LayerSpec spec, int64_t channels) {
    spec.kind = LayerKind::kConv1DTranspose;
    return with_bias(std::move(name), "Conv1DTranspose", in, spec,
                     {spec.kernel_size, spec.filters, channels});
  }
  int dense(std::string name, int in, LayerSpec spec, int64_t channels) {
    spec.kind = LayerKind::kDense;
    return with_bias(std::move(name), "Dense", in, spec, {channels, spec.filters});
  }
  int norm(std::string name, int in, int64_t channels, int64_t axis = -1) {
    const int node = add(std::move(name), "BatchNormalization", BatchNormOp{.axis = axis, .epsilon = 1e-3},
                         {in}, {{channels}, {channels}, {channels}, {channels}});
    for (float& variance : model_.layers.back().weights[3].data) variance = variance * variance + 0.5F;
    return node;
  }
  int activation(std::string name, int in, Activation activation) {
    return add(std::move(name), "Activation", ActivationOp{activation}, {in}, {});
  }
  int merge(std::string name, std::vector<int> in, MergeKind kind) {
    return add(std::move(name), "Merge", MergeOp{kind}, std::move(in), {});
  }
  int concatenate(std::string name, std::vector<int> in, int64_t axis = -1) {
    return add(std::move(name), "Concatenate", ConcatenateOp{axis}, std::move(in), {});
  }

  ModelSpec finish(std::vector<int> outputs) {
    model_.outputs = std::move(outputs);
    return std::move(model_);
  }
  ModelSpec& model() { return model_; }

 private:
  int with_bias(std::string name, const char* class_name, int in, const LayerSpec& spec,
                std::vector<int64_t> kernel) {
    std::vector<std::vector<int64_t>> shapes{std::move(kernel)};
    if (spec.use_bias) shapes.push_back({spec.filters});
    return add(std::move(name), class_name, spec, {in}, shapes);
  }

  std::function<float()> next_;
  ModelSpec model_;
};

// Small integers, with which all sums are exact.
inline std::function<float()> integers(unsigned seed) {
  return [random = std::mt19937(seed)]() mutable { return static_cast<float>(random() % 7) - 3.0F; };
}
// Values of the size that trained weights have.
inline std::function<float()> reals(unsigned seed) {
  return [random = std::mt19937(seed)]() mutable {
    return static_cast<float>(random() % 20001) / 20000.0F - 0.5F;
  };
}

// The networks of the model cards, with as many filters.
inline ModelSpec ecg_denoiser(const std::function<float()>& next) {
  ModelMaker m(next);
  int x = m.input({std::nullopt, 1});
  int64_t channels = 1;
  struct Row {
    const char* name;
    int64_t filters, stride;
    bool is_transposed;
  };
  const Row rows[] = {{"enc0", 16, 2, false}, {"enc1", 16, 2, false}, {"enc2", 32, 2, false},
                      {"enc3", 32, 1, false}, {"dec0", 32, 1, true},  {"dec1", 32, 2, true},
                      {"dec2", 16, 2, true},  {"dec3", 16, 2, true}};
  for (const Row& row : rows) {
    LayerSpec spec;
    spec.filters = row.filters;
    spec.kernel_size = 16;
    spec.strides = row.stride;
    spec.padding = Padding::kSame;
    spec.use_bias = false;
    x = row.is_transposed ? m.transposed(row.name, x, spec, channels) : m.conv(row.name, x, spec, channels);
    channels = row.filters;
    x = m.norm(std::string(row.name) + "_bn", x, channels);
    x = m.activation(std::string(row.name) + "_elu", x, {ActivationKind::kElu, {1.0F, 0, 0}});
  }
  LayerSpec out;
  out.filters = 1;
  out.kernel_size = 16;
  out.padding = Padding::kSame;
  return m.finish({m.transposed("out", x, out, channels)});
}

inline ModelSpec wavenet(const std::function<float()>& next, int blocks) {
  ModelMaker m(next);
  LayerSpec one;
  one.filters = 12;
  one.kernel_size = 1;
  int x = m.conv("rise", m.input({std::nullopt, 1}), one, 1);
  std::vector<int> gates;
  for (int i = 0; i < blocks; ++i) {
    const std::string name = "d" + std::to_string(1 << i);
    LayerSpec spec;
    spec.filters = 12;
    spec.kernel_size = 3;
    spec.padding = Padding::kCausal;
    spec.dilation_rate = 1 << i;
    spec.activation.kind = ActivationKind::kTanh;
    const int filter = m.conv(name + "_filter", x, spec, 12);
    spec.activation.kind = ActivationKind::kSigmoid;
    const int gate = m.conv(name + "_gate", x, spec, 12);
    gates.push_back(m.merge(name + "_gated", {filter, gate}, MergeKind::kMultiply));
    if (i + 1 < blocks)
      x = m.merge(name + "_residual", {x, m.conv(name + "_mix", gates.back(), one, 12)}, MergeKind::kAdd);
  }
  std::vector<int> skips;
  for (size_t i = 0; i < gates.size(); ++i)
    skips.push_back(m.conv("skip" + std::to_string(i), gates[i], one, 12));
  x = m.activation("head_relu", m.merge("skips", skips, MergeKind::kAdd), make_relu());
  one.filters = 8;
  one.activation = make_relu();
  x = m.conv("head1", x, one, 12);
  one.filters = 1;
  one.activation = {};
  return m.finish({m.conv("head2", x, one, 8)});
}

// One block of InceptionTime with a shortcut, and the classifier.
inline ModelSpec inception(const std::function<float()>& next) {
  ModelMaker m(next);
  const int in = m.input({150, 1});
  LayerSpec spec;
  spec.filters = 16;
  spec.padding = Padding::kSame;
  spec.use_bias = false;
  int x = in;
  int64_t channels = 1;
  for (const char* name : {"b0", "b1"}) {
    const std::string block = name;
    spec.kernel_size = 1;
    const int narrow = channels == 1 ? x : m.conv(block + "_bottleneck", x, spec, channels);
    const int64_t width = channels == 1 ? 1 : 16;
    std::vector<int> parts;
    for (const int64_t kernel : {40, 20, 10}) {
      spec.kernel_size = kernel;
      parts.push_back(m.conv(block + "_k" + std::to_string(kernel), narrow, spec, width));
    }
    spec.kernel_size = 1;
    const int pool = m.add(block + "_pool", "MaxPooling1D",
                           PoolOp{.pool_size = 3, .strides = 1, .padding = Padding::kSame}, {x}, {});
    parts.push_back(m.conv(block + "_pool1x1", pool, spec, channels));
    x = m.norm(block + "_bn", m.concatenate(block + "_concat", parts), 64);
    x = m.activation(block + "_relu", x, make_relu());
    channels = 64;
  }
  spec.filters = 64;
  const int shortcut = m.norm("s_bn", m.conv("s_1x1", in, spec, 1), 64);
  x = m.activation("s_relu", m.merge("s_add", {shortcut, x}, MergeKind::kAdd), make_relu());
  x = m.add("gap", "GlobalAveragePooling1D", GlobalPoolOp{.average = true}, {x}, {});
  LayerSpec last;
  last.filters = 2;
  last.activation = {ActivationKind::kSoftmax, {-1.0F, 0, 0}};
  return m.finish({m.dense("class", x, last, 64)});
}

}  // namespace convsmith::test
