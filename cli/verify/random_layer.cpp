#include "cli/verify/random_layer.hpp"
#include "convsmith/activation.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

namespace convsmith::cli {

namespace {

constexpr int64_t kMostWork = 2'000'000;
constexpr int64_t kMostUnits = 80;  // channels, filters

// Channels or filters: around vector widths more often than not.
int64_t random_units(Random& random, int64_t most) {
  constexpr int64_t kEdges[] = {3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33};
  if (random.one_in(6)) return random.between(1, std::min<int64_t>(3, most));
  if (random.one_in(2)) return random.between(1, most);
  for (;;) {
    const int64_t units = random.pick(kEdges);
    if (units <= most) return units;
  }
}

int64_t random_small(Random& random, int64_t usual, int64_t most) {
  return random.one_in(2) ? random.between(1, usual) : random.between(1, most);
}

void draw_groups(Random& random, LayerSpec& spec, int64_t& channels) {
  const int64_t form = random.between(0, 11);
  if (form <= 4) {
    channels = random_units(random, kMostUnits);
    spec.filters = random_units(random, kMostUnits);
  } else if (form == 5) {  // the last layer of a network
    channels = 16 * random.between(1, 4);
    spec.filters = random.between(1, 2);
  } else if (form <= 7) {  // the first one
    channels = random.between(3, 8);
    spec.filters = random.one_in(3) ? 8 : 4;
  } else if (form <= 9) {  // depthwise, sometimes with several filters a channel
    spec.groups = random_units(random, kMostUnits);
    channels = spec.groups;
    const int64_t multiplier =
        random.one_in(2) ? 1 : random.between(1, std::min<int64_t>(9, kMostUnits / spec.groups));
    spec.filters = spec.groups * multiplier;
  } else {
    const int64_t wide = random_units(random, kMostUnits / 2);
    const int64_t narrow = random_units(random, kMostUnits / 2);
    spec.groups = random.between(2, kMostUnits / std::max(wide, narrow));
    channels = spec.groups * wide;
    spec.filters = spec.groups * narrow;
  }
}

void draw_units(Random& random, LayerSpec& spec, int64_t& channels) {
  if (spec.kind == LayerKind::kConv1D) return draw_groups(random, spec, channels);
  channels = random_units(random, kMostUnits);
  const bool multiplies =
      spec.kind == LayerKind::kDepthwiseConv1D || spec.kind == LayerKind::kSeparableConv1D;
  if (multiplies && !random.one_in(2))
    spec.depth_multiplier = random.between(1, std::min<int64_t>(9, kMostUnits / channels));
  if (spec.kind != LayerKind::kDepthwiseConv1D) spec.filters = random_units(random, kMostUnits);
}

void draw_padding(Random& random, LayerSpec& spec) {
  constexpr Padding kPaddings[] = {Padding::kValid, Padding::kSame, Padding::kExplicit, Padding::kCausal};
  const bool is_transposed = spec.kind == LayerKind::kConv1DTranspose;
  spec.padding = kPaddings[random.between(0, is_transposed ? 2 : 3)];
  if (is_transposed && !random.one_in(3)) {
    const int64_t most = random.one_in(8) ? spec.strides + 3 : spec.strides - 1;
    spec.output_padding = random.between(0, most);
  }
  if (spec.padding != Padding::kExplicit) return;
  const int64_t most = std::min<int64_t>((spec.kernel_size - 1) * spec.dilation_rate + 3, 200);
  spec.pad_left = random.between(0, most);
  spec.pad_right = random.between(0, most);
}

// Quarters: short in a command line, and exact.
float quarters(Random& random, int64_t low, int64_t high) {
  return 0.25F * static_cast<float>(random.between(4 * low, 4 * high));
}

Activation draw_activation(Random& random, ActivationKind kind) {
  using Kind = ActivationKind;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (!is_elementwise(kind)) return {kind, {-1}};
  switch (kind) {
    case Kind::kRelu: {
      const float slope = random.one_in(2) ? 0.0F : quarters(random, -1, 2);
      const float most = random.one_in(2) ? kInfinity : quarters(random, 1, 8);
      return make_relu(slope, most, random.one_in(2) ? 0.0F : quarters(random, -2, 2));
    }
    case Kind::kElu:
      return {kind, {quarters(random, 0, 3)}};
    case Kind::kCelu:
      return {kind, {random.one_in(8) ? -quarters(random, 1, 3) : 0.25F + quarters(random, 0, 3)}};
    case Kind::kSquareplus:
      return {kind, {quarters(random, 0, 9)}};
    case Kind::kSoftShrink:
    case Kind::kHardShrink:
      return {kind, {quarters(random, 0, 3)}};
    case Kind::kThreshold:
      return {kind, {quarters(random, -3, 3), quarters(random, -9, 9)}};
    default:
      return {kind, {}};
  }
}

DataKind draw_data(Random& random) {
  constexpr DataKind kKinds[] = {DataKind::kIntegers, DataKind::kIntegers, DataKind::kFloats,
                                 DataKind::kFloats,   DataKind::kSpecial,  DataKind::kSpecial,
                                 DataKind::kHuge};
  return random.pick(kKinds);
}

// Steps that fall together with something: nothing, one output, the reach of the kernel, whole tiles.
int64_t draw_steps(Random& random, const Problem& p) {
  const int64_t form = random.between(0, 7);
  if (form == 0) return random.between(0, 3);
  if (form == 1) return std::clamp<int64_t>(p.span() + random.between(-1, 2) * p.stride, 0, 300);
  if (form == 2) return std::min<int64_t>(16 * random.between(1, 18) + random.between(-1, 1), 300);
  return random.between(0, 300);
}

float special_value(Random& random) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kValues[] = {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity};
  return random.pick(kValues);
}

float tiny_value(Random& random) {
  constexpr float kValues[] = {
      0.0F,      -0.0F,      0x1p-149F,       -0x1p-149F, 0x1.fffffcp-127F, -0x1.fffffcp-127F,
      0x1p-126F, -0x1p-126F, 0x1.23456p-130F, 0x1p-100F,  -0x1p-75F,        0x1.8p-64F};
  return random.pick(kValues);
}

float huge_value(Random& random) {
  constexpr float kValues[] = {0x1.fffffep127F, -0x1.fffffep127F, 1e30F, -1e30F, 1e20F, -1e20F, 0x1p64F};
  return random.pick(kValues);
}

// `rare`: about how many values there are for one that is not finite (or huge).
void fill(Random& random, std::vector<float>& values, DataKind kind, int64_t range, float scale,
          int64_t rare) {
  for (float& value : values) {
    if (kind == DataKind::kIntegers) {
      value = static_cast<float>(random.between(-range, range));
      continue;
    }
    if (kind == DataKind::kTiny) {
      value = std::ldexp(random.signed_unit(), -static_cast<int>(random.between(118, 145)));
      continue;
    }
    value = random.signed_unit() * scale;
    if (kind == DataKind::kFloats) continue;
    if (random.one_in(8)) value = tiny_value(random);
    if (random.one_in(rare)) value = special_value(random);
    if (kind == DataKind::kHuge && random.one_in(rare)) value = huge_value(random);
  }
}

// glu halves the filters of channels-last layers.
void make_even(LayerSpec& spec, int64_t& channels) {
  spec.data_format = DataFormat::kChannelsLast;
  if (spec.kind == LayerKind::kDepthwiseConv1D) {
    const bool is_odd = channels * spec.depth_multiplier % 2 != 0;
    (is_odd && channels > 1 ? channels : spec.depth_multiplier) += is_odd ? (channels > 1 ? -1 : 1) : 0;
  } else if (spec.groups > 1) {
    channels = 2 * ((channels + 1) / 2);
    spec.groups = channels % spec.groups == 0 && spec.filters % 2 == 0 ? spec.groups : 1;
    spec.filters += spec.filters % 2;
  } else {
    spec.filters += spec.filters % 2;
  }
}

// Of the problems of a layer, the one that decides which lengths matter.
size_t first_contraction(const ir::Graph& graph) {
  size_t i = 0;
  while (i + 1 < graph.ops.size() && graph.ops[i].kind != ir::OpKind::kNest) ++i;
  return i;
}

int64_t longest_sum(const ir::Graph& graph) {
  int64_t terms = 1;
  for (const ir::Op& op : graph.ops) {
    if (op.kernel >= 0) terms = std::max(terms, op.problem.taps * op.problem.group_channels());
  }
  return terms;
}

}  // namespace

uint64_t Random::next() {
  uint64_t z = state_ += 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

int64_t Random::between(int64_t low, int64_t high) {
  const auto range =
      static_cast<uint64_t>(high - low) + 1;  // small: the bias of the product is far below 2^-20
  return low + static_cast<int64_t>(((next() >> 32) * range) >> 32);
}

float Random::signed_unit() {
  return static_cast<float>(static_cast<int64_t>(next() >> 39) - (1 << 24)) * 0x1p-24F;
}

uint64_t derive_seed(uint64_t seed, uint64_t index) {
  Random random(seed ^ (index + 1) * 0xD1342543DE82EF95U);
  return random.next();
}

std::string_view data_name(DataKind kind) {
  switch (kind) {
    case DataKind::kIntegers:
      return "integers";
    case DataKind::kFloats:
      return "floats";
    case DataKind::kSpecial:
      return "special";
    case DataKind::kHuge:
      return "huge";
    default:
      return "tiny";
  }
}

std::optional<DataKind> find_data(std::string_view name) {
  for (const DataKind kind :
       {DataKind::kIntegers, DataKind::kFloats, DataKind::kSpecial, DataKind::kHuge, DataKind::kTiny}) {
    if (data_name(kind) == name) return kind;
  }
  return std::nullopt;
}

DataKind data_of_weights(DataKind kind) {
  return kind == DataKind::kTiny ? DataKind::kFloats : kind;
}

void draw_denormals(Call& call) {
  Random random(derive_seed(call.seed, 11));
  if (random.one_in(5)) call.data = DataKind::kTiny;
  const bool is_plain = call.data == DataKind::kIntegers || call.data == DataKind::kFloats;
  if (!is_plain && random.one_in(2)) call.denormals = Denormals::kFlush;
}

LayerSpec random_layer(uint64_t seed, uint64_t number) {
  constexpr LayerKind kKinds[] = {LayerKind::kConv1D,          LayerKind::kConv1DTranspose,
                                  LayerKind::kDepthwiseConv1D, LayerKind::kConv1D,
                                  LayerKind::kSeparableConv1D, LayerKind::kConv1DTranspose,
                                  LayerKind::kConv1D,          LayerKind::kDense};
  constexpr uint64_t kActivations = static_cast<uint64_t>(ActivationKind::kGlu) + 1;
  Random random(seed);
  LayerSpec spec;
  spec.kind = kKinds[number % std::size(kKinds)];
  // 7 shares no factor with the number of activations, 30: every kind meets all of them.
  static_assert(kActivations % 7 != 0);
  const uint64_t turn = number / std::size(kKinds) * 7 + number % std::size(kKinds);
  const auto activation = static_cast<ActivationKind>(turn % kActivations);
  int64_t channels = 1;
  draw_units(random, spec, channels);
  if (spec.kind != LayerKind::kDense) {
    spec.kernel_size = random_small(random, 5, 64);
    spec.strides = random.one_in(2) ? 1 : random_small(random, 4, 16);
    spec.dilation_rate = random.one_in(2) ? 1 : random_small(random, 4, 16);
    draw_padding(random, spec);
    spec.data_format = random.one_in(3) ? DataFormat::kChannelsFirst : DataFormat::kChannelsLast;
    // One channel and few filters: steps of the input are neighbours in memory, and lanes may run over them.
    if (spec.kind == LayerKind::kConv1D && random.one_in(6)) {
      channels = spec.groups = spec.strides = 1;
      spec.filters = random.between(1, 24);
      spec.data_format = DataFormat::kChannelsLast;
    }
  }
  spec.activation = draw_activation(random, activation);
  spec.use_bias = !random.one_in(3);
  if (activation == ActivationKind::kGlu) make_even(spec, channels);
  if (spec.kind == LayerKind::kDense) {
    spec.input_shape.assign(static_cast<size_t>(random.between(0, 2)), std::nullopt);
    spec.input_shape.emplace_back(channels);
    return spec;
  }
  if (spec.data_format == DataFormat::kChannelsLast) {
    spec.input_shape = {std::nullopt, channels};
  } else {
    spec.input_shape = {channels, std::nullopt};
  }
  return spec;
}

Call random_call(const ir::Graph& graph, uint64_t seed) {
  Random random(seed);
  Call call;
  call.data = draw_data(random);
  call.seed = random.next();
  draw_denormals(call);
  const Problem& first = graph.ops[first_contraction(graph)].problem;
  // Multiply-adds, and a few for each output.
  const auto work = [&](int64_t batch, int64_t steps) {
    const std::vector<int64_t> extents = ir::evaluate_extents(graph, {&steps, 1});
    const ir::GraphTensor& out = graph.tensors[static_cast<size_t>(graph.outputs[0])];
    return multiply_adds(graph, batch, {&steps, 1}) +
           8 * static_cast<double>(batch * extents[static_cast<size_t>(out.steps)] * out.channels);
  };
  // Most cases are small, so that there is time for many.
  const auto most = static_cast<double>(kMostWork >> random.between(0, 6));
  for (int attempt = 0; attempt < 12; ++attempt) {
    call.batch = random.one_in(2) ? 1 : random.between(0, 4);
    call.steps = draw_steps(random, first);
    if (work(call.batch, call.steps) <= most) return call;
  }
  call.batch = 1;
  while (call.steps > 0 && work(call.batch, call.steps) > kMostWork) call.steps -= (call.steps + 15) / 16;
  // Explicit padding alone may make too many outputs.
  if (work(call.batch, call.steps) > kMostWork) call.batch = 0;
  return call;
}

Arrays make_inputs(const ir::Graph& graph, const Call& call) {
  Random random(call.seed);
  const int64_t terms = longest_sum(graph);
  const std::vector<int64_t> steps = input_steps(graph, call.steps);
  Arrays inputs;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const int64_t channels = graph.tensors[static_cast<size_t>(graph.inputs[i])].channels;
    const std::vector<int64_t> extents = ir::evaluate_extents(graph, steps);
    const int64_t own =
        extents[static_cast<size_t>(graph.tensors[static_cast<size_t>(graph.inputs[i])].steps)];
    inputs.emplace_back(static_cast<size_t>(call.batch * own * channels));
    fill(random, inputs.back(), call.data, 4, 1.0F, 4 * terms);
  }
  return inputs;
}

Arrays make_weights(const ir::Graph& graph, const Call& call) {
  Random random(derive_seed(call.seed, 5));
  constexpr float kScales[] = {0.5F, 1.0F, 4.0F, 30.0F};
  const float scale = random.pick(kScales);
  Arrays arrays(graph.arrays.size());
  for (const ir::Op& op : graph.ops) {
    const Problem& p = op.problem;
    const int64_t terms = p.taps * p.group_channels();
    if (op.kernel >= 0) {
      std::vector<float>& kernel = arrays[static_cast<size_t>(op.kernel)];
      kernel.resize(static_cast<size_t>(terms * p.filters));
      fill(random, kernel, data_of_weights(call.data), 3, scale / std::sqrt(static_cast<float>(terms)),
           8 * terms);
    }
    if (op.bias >= 0) {
      std::vector<float>& bias = arrays[static_cast<size_t>(op.bias)];
      bias.resize(static_cast<size_t>(p.filters));
      fill(random, bias, call.data, 8, 1.0F, 32);
    }
  }
  return arrays;
}

std::vector<float> random_floats(int64_t count, DataKind data, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  fill(random, values, data, 4, 1.0F, std::max<int64_t>(4 * count, 1));
  return values;
}

}  // namespace convsmith::cli
