#include <fmt/format.h>

#include <dnnl.hpp>
#include <unordered_map>

#include "bench/peers/peers.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace convsmith::bench {
namespace {

using dnnl::memory;
using Dims = memory::dims;

enum class Form { kNwc, kNhwc, kNcw };

struct Descriptions {
  memory::desc src;
  memory::desc dst;
  memory::desc any_weights;
  memory::desc keras_weights;  // the same, as Keras keeps them
  memory::desc bias;
  Dims strides;
  Dims dilates;
  Dims pad_left;
  Dims pad_right;
};

// 1-D sizes, or the same as an image of height 1.
Dims spatial(Form form, Dims leading, int64_t width, int64_t height) {
  if (form == Form::kNhwc) leading.push_back(height);
  leading.push_back(width);
  return leading;
}

Descriptions describe(const Case& c, Form form) {
  constexpr auto kFloat = memory::data_type::f32;
  const Problem& p = c.problem;
  const auto tag = form == Form::kNwc    ? memory::format_tag::nwc
                   : form == Form::kNhwc ? memory::format_tag::nhwc
                                         : memory::format_tag::ncw;
  // Filters and channels of a group, and their strides in Keras's (taps, channels, filters), which of a
  // transposed layer is (taps, filters, channels).
  Dims sizes = {p.group_filters(), p.group_channels()};
  Dims steps = p.transposed ? Dims{p.channels, 1} : Dims{1, p.filters};
  if (p.groups > 1) {
    sizes.insert(sizes.begin(), p.groups);
    steps.insert(steps.begin(), p.group_filters());
  }
  sizes = spatial(form, sizes, p.taps, 1);
  steps = spatial(form, steps, p.group_channels() * p.filters, p.taps * p.group_channels() * p.filters);
  return {{spatial(form, {c.batch, p.channels}, c.steps, 1), kFloat, tag},
          {spatial(form, {c.batch, p.filters}, c.out_steps, 1), kFloat, tag},
          {sizes, kFloat, memory::format_tag::any},
          {sizes, kFloat, steps},
          {{p.filters}, kFloat, memory::format_tag::x},
          spatial(form, {}, p.stride, 1),
          spatial(form, {}, p.dilation - 1, 0),
          spatial(form, {}, c.pad_left, 0),
          spatial(form, {}, c.pad_right, 0)};
}

template <class Primitive>
Call make_primitive(const Case& c, const Descriptions& d, dnnl::algorithm algorithm, Form form) {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  static dnnl::stream stream(engine);
  const typename Primitive::desc description(dnnl::prop_kind::forward_inference, algorithm, d.src,
                                             d.any_weights, d.bias, d.dst, d.strides, d.dilates, d.pad_left,
                                             d.pad_right);
  const typename Primitive::primitive_desc primitive(description, engine);
  // The library wants to write to nothing but dst, and says so without const.
  memory keras(d.keras_weights, engine, const_cast<float*>(c.kernel.data()));
  memory weights(primitive.weights_desc(), engine);
  dnnl::reorder(keras, weights).execute(stream, keras, weights);
  stream.wait();
  const float* const input = form == Form::kNcw ? c.input_first : c.input;
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, memory(d.src, engine, const_cast<float*>(input))},
      {DNNL_ARG_WEIGHTS, weights},
      {DNNL_ARG_BIAS, memory(d.bias, engine, const_cast<float*>(c.bias.data()))},
      {DNNL_ARG_DST, memory(d.dst, engine, c.output)}};
  return [convolution = Primitive(primitive), arguments = std::move(arguments)]() -> Result<void> {
    try {
      convolution.execute(stream, arguments);
      stream.wait();
      return {};
    } catch (const dnnl::error& why) {
      return make_error(ErrorCode::kUnsupported, why.message);
    }
  };
}

Result<Call> make_call(const Case& c, Form form) {
  try {
    const Descriptions d = describe(c, form);
    if (c.problem.transposed)
      return make_primitive<dnnl::deconvolution_forward>(c, d, dnnl::algorithm::deconvolution_direct, form);
    return make_primitive<dnnl::convolution_forward>(c, d, dnnl::algorithm::convolution_direct, form);
  } catch (const dnnl::error& why) {
    return make_error(ErrorCode::kUnsupported, why.message);
  }
}

}  // namespace

std::vector<Way> onednn_ways(Isa isa) {
#ifdef _OPENMP
  omp_set_num_threads(1);
#endif
  if (isa == Isa::kAvx2) dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
  const dnnl_version_t* const v = dnnl_version();
  const std::string version = fmt::format("oneDNN {}.{}.{}", v->major, v->minor, v->patch);
  const auto way = [&](const char* name, Form form) {
    const Layout layout = form == Form::kNcw ? Layout::kChannelsFirst : Layout::kChannelsLast;
    return Way{name, "oneDNN", version, layout, [=](const Case& c) { return make_call(c, form); }};
  };
  return {way("oneDNN nwc", Form::kNwc), way("oneDNN nhwc", Form::kNhwc), way("oneDNN ncw", Form::kNcw)};
}

}  // namespace convsmith::bench
