// The constructors of the convolution family and Dense: arguments by name, bound as if they stood in a text.
#include "frontend/keras/bind_context.hpp"
#include "frontend/keras/bind_layer.hpp"
#include "frontend/keras/check_spec.hpp"
#include "frontend/keras/layer_class.hpp"
#include "frontend/keras/layer_config.hpp"
#include "frontend/keras/value.hpp"
#include "runtime/objects/layer_state.hpp"

namespace convsmith::layers {
namespace {

using Kind = Value::Kind;

class ArgumentList {
 public:
  void integer(std::string name, int64_t number) { add(std::move(name), Kind::kInt).integer = number; }
  void flag(std::string name, bool truth) { add(std::move(name), Kind::kBool).integer = truth ? 1 : 0; }
  void text(std::string name, const std::string& text) { add(std::move(name), Kind::kString).text = text; }
  void shape(std::string name, const Shape& shape) {
    Value& value = add(std::move(name), Kind::kTuple);
    for (const std::optional<int64_t>& axis : shape) {
      Value item;
      item.kind = axis ? Kind::kInt : Kind::kNone;
      item.integer = axis.value_or(0);
      value.items.push_back({{}, std::move(item)});
    }
  }
  const std::vector<Argument>& arguments() const { return arguments_; }

 private:
  Value& add(std::string name, Kind kind) {
    arguments_.push_back({std::move(name), {}});
    arguments_.back().value.kind = kind;
    return arguments_.back().value;
  }

  std::vector<Argument> arguments_;
};

// Adds the name in a variant to the arguments, if it holds one.
template <class Variant>
void add_name(ArgumentList& list, const char* argument, const Variant& variant) {
  const auto* name = std::get_if<std::string>(&variant);
  if (name != nullptr && !name->empty()) list.text(argument, *name);
}

// Puts the object or function in a variant where it belongs, if it holds one.
template <class Variant, class Object>
void put_object(const Variant& variant, Object& object) {
  if (const auto* given = std::get_if<KerasObject>(&variant)) object = *given;
}
void put_regularizer(const RegularizerArg& variant, std::optional<Regularizer>& object,
                     RegularizerFunction& function) {
  put_object(variant, object);
  if (const auto* given = std::get_if<RegularizerFunction>(&variant)) function = *given;
}

template <class Args>
void list_sizes(ArgumentList& list, const Args& args) {
  if constexpr (requires { args.units; }) list.integer("units", args.units);
  if constexpr (requires { args.filters; }) list.integer("filters", args.filters);
  if constexpr (requires { args.groups; }) list.integer("groups", args.groups);
  if constexpr (requires { args.depth_multiplier; }) {
    list.integer("depth_multiplier", args.depth_multiplier);
  }
  if constexpr (requires { args.output_padding; }) {
    if (args.output_padding) list.integer("output_padding", *args.output_padding);
  }
  if constexpr (requires { args.kernel_size; }) {
    list.integer("kernel_size", args.kernel_size);
    list.integer("strides", args.strides);
    list.text("padding", args.padding);
    list.text("data_format", args.data_format);
    list.integer("dilation_rate", args.dilation_rate);
  }
  list.flag("use_bias", args.use_bias);
  if (!args.input_shape.empty()) list.shape("input_shape", args.input_shape);
  if (!args.name.empty()) list.text("name", args.name);
}

template <class Args>
void list_names(ArgumentList& list, const Args& args) {
  add_name(list, "activation", args.activation);
  add_name(list, "bias_initializer", args.bias_initializer);
  add_name(list, "bias_regularizer", args.bias_regularizer);
  add_name(list, "activity_regularizer", args.activity_regularizer);
  add_name(list, "bias_constraint", args.bias_constraint);
  if constexpr (requires { args.kernel_initializer; }) {
    add_name(list, "kernel_initializer", args.kernel_initializer);
    add_name(list, "kernel_regularizer", args.kernel_regularizer);
    add_name(list, "kernel_constraint", args.kernel_constraint);
  }
  if constexpr (requires { args.depthwise_initializer; }) {
    add_name(list, "depthwise_initializer", args.depthwise_initializer);
    add_name(list, "depthwise_regularizer", args.depthwise_regularizer);
    add_name(list, "depthwise_constraint", args.depthwise_constraint);
  }
  if constexpr (requires { args.pointwise_initializer; }) {
    add_name(list, "pointwise_initializer", args.pointwise_initializer);
    add_name(list, "pointwise_regularizer", args.pointwise_regularizer);
    add_name(list, "pointwise_constraint", args.pointwise_constraint);
  }
}

template <class Args>
void put_objects(const Args& args, LayerSpec& spec, Layer::State& state) {
  if (const auto* given = std::get_if<convsmith::Activation>(&args.activation)) spec.activation = *given;
  put_object(args.bias_initializer, spec.bias_initializer);
  put_regularizer(args.bias_regularizer, spec.bias_regularizer, state.bias_function);
  put_regularizer(args.activity_regularizer, spec.activity_regularizer, state.activity_function);
  put_object(args.bias_constraint, spec.bias_constraint);
  if constexpr (requires { args.kernel_initializer; }) {
    put_object(args.kernel_initializer, spec.kernel_initializer);
    put_regularizer(args.kernel_regularizer, spec.kernel_regularizer, state.kernel_function);
    put_object(args.kernel_constraint, spec.kernel_constraint);
  }
  if constexpr (requires { args.depthwise_initializer; }) {
    put_object(args.depthwise_initializer, spec.kernel_initializer);
    put_regularizer(args.depthwise_regularizer, spec.kernel_regularizer, state.kernel_function);
    put_object(args.depthwise_constraint, spec.kernel_constraint);
  }
  if constexpr (requires { args.pointwise_initializer; }) {
    put_object(args.pointwise_initializer, spec.pointwise_initializer);
    put_regularizer(args.pointwise_regularizer, spec.pointwise_regularizer, state.pointwise_function);
    put_object(args.pointwise_constraint, spec.pointwise_constraint);
  }
}

template <class Args>
std::shared_ptr<Layer::State> make_state(const char* class_name, const Args& args) {
  ArgumentList list;
  list_sizes(list, args);
  list_names(list, args);
  std::vector<std::string> notes;
  const BindContext context{.dialect = args.dialect, .notes = &notes};
  Result<LayerSpec> spec = bind_layer(context, class_name, Value(), list.arguments());
  std::shared_ptr<Layer::State> state = make_family_state(spec ? *spec : LayerSpec{});
  if (spec) {
    LayerSpec& own = std::get<LayerSpec>(state->op);
    put_objects(args, own, *state);
    if (Result<void> legal = check_spec(own, Rules::kCommon); !legal) state->error = legal.error();
  } else {
    state->error = spec.error();
    state->class_name = class_name;
    state->set_name(args.name.empty() ? to_snake_case(class_name) : args.name);
  }
  return state;
}

// The sizes that may stand before the other arguments.
template <class Args>
Args with_sizes(Args args, int64_t filters, int64_t kernel_size) {
  args.filters = filters;
  args.kernel_size = kernel_size;
  return args;
}

}  // namespace

std::shared_ptr<Layer::State> make_family_state(LayerSpec spec) {
  auto state = std::make_shared<Layer::State>();
  state->class_name = class_name_of(spec.kind);
  state->is_named = !spec.name.empty();
  state->input_shape = spec.input_shape;
  state->batch_size = spec.batch_size;
  std::string name = state->is_named ? spec.name : to_snake_case(state->class_name);
  state->op = std::move(spec);
  state->set_name(std::move(name));
  return state;
}

Conv1D::Conv1D(const Conv1DArgs& args) : Layer(make_state("Conv1D", args)) {}
Conv1D::Conv1D(int64_t filters, int64_t kernel_size, Conv1DArgs args)
    : Conv1D(with_sizes(std::move(args), filters, kernel_size)) {}

Conv1DTranspose::Conv1DTranspose(const Conv1DTransposeArgs& args)
    : Layer(make_state("Conv1DTranspose", args)) {}
Conv1DTranspose::Conv1DTranspose(int64_t filters, int64_t kernel_size, Conv1DTransposeArgs args)
    : Conv1DTranspose(with_sizes(std::move(args), filters, kernel_size)) {}

SeparableConv1D::SeparableConv1D(const SeparableConv1DArgs& args)
    : Layer(make_state("SeparableConv1D", args)) {}
SeparableConv1D::SeparableConv1D(int64_t filters, int64_t kernel_size, SeparableConv1DArgs args)
    : SeparableConv1D(with_sizes(std::move(args), filters, kernel_size)) {}

DepthwiseConv1D::DepthwiseConv1D(const DepthwiseConv1DArgs& args)
    : Layer(make_state("DepthwiseConv1D", args)) {}
DepthwiseConv1D::DepthwiseConv1D(int64_t kernel_size, DepthwiseConv1DArgs args)
    : DepthwiseConv1D((args.kernel_size = kernel_size, args)) {}

Dense::Dense(const DenseArgs& args) : Layer(make_state("Dense", args)) {}
Dense::Dense(int64_t units, DenseArgs args) : Dense((args.units = units, args)) {}

}  // namespace convsmith::layers
