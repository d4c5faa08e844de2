// The C functions that make things and answer questions about them.
#include <fmt/format.h>

#include <array>
#include <limits>
#include <utility>

#include "convsmith/model.hpp"
#include "runtime/capi/c_api_error.hpp"
#include "runtime/capi/c_api_model.hpp"
#include "runtime/why_refused.hpp"

namespace convsmith::c_api {

namespace {

static_assert(CONVSMITH_NULL_POINTER == static_cast<int>(RunStatus::kNullPointer));
static_assert(CONVSMITH_BAD_SIZE == static_cast<int>(RunStatus::kBadSize));
static_assert(CONVSMITH_EMPTY_OUTPUT == static_cast<int>(RunStatus::kEmptyOutput));
static_assert(CONVSMITH_WRONG_WEIGHTS == static_cast<int>(RunStatus::kWrongWeights));
static_assert(CONVSMITH_WRONG_STEPS == static_cast<int>(RunStatus::kWrongSteps));
static_assert(CONVSMITH_NO_MEMORY == static_cast<int>(RunStatus::kNoMemory));
static_assert(CONVSMITH_BACKEND_INTERP == static_cast<int>(Backend::kInterp));
static_assert(CONVSMITH_BACKEND_LLVM == static_cast<int>(Backend::kLlvm));
static_assert(CONVSMITH_ISA_BASELINE == static_cast<int>(Isa::kBaseline));
static_assert(CONVSMITH_ISA_AVX512 == static_cast<int>(Isa::kAvx512));
static_assert(CONVSMITH_RULES_KERAS2 == static_cast<int>(Rules::kKeras2));
static_assert(CONVSMITH_RULES_ANY == static_cast<int>(Rules::kAny));

int clamp_threads(int64_t threads) {
  return static_cast<int>(std::min<int64_t>(threads, std::numeric_limits<int>::max()));
}

RunOptions run_options(const convsmith_call& call) {
  RunOptions options{.workspace = call.workspace, .parallel = {}, .denormals = call.denormals};
  if (call.parallel != nullptr)
    options.parallel = {call.parallel->run, call.parallel->pool, clamp_threads(call.parallel->threads)};
  return options;
}

struct LayerModel final : convsmith_model {
  explicit LayerModel(CompiledLayer compiled) : layer(std::move(compiled)) {
    weights = layer.weight_shapes();
    text = to_call_text(layer.spec());
    input_names = {"input"};
    output_names = {"output"};
    info = {.struct_size = sizeof(info),
            .kind = CONVSMITH_KIND_LAYER,
            .backend = static_cast<int32_t>(layer.backend()),
            .isa = static_cast<int32_t>(layer.isa()),
            .inputs = 1,
            .outputs = 1,
            .weights = static_cast<int32_t>(weights.size()),
            .code_bytes = layer.code_bytes()};
  }
  Result<convsmith_weights> pack(std::span<const std::span<const float>> arrays) const override {
    auto packed = layer.pack(arrays);
    if (!packed) return tl::unexpected(packed.error());
    return convsmith_weights{.layer = std::move(*packed), .artifact = {}};
  }
  convsmith_status run(const convsmith_call& call) const noexcept override {
    static const PackedWeights kNone;
    const PackedWeights& packed = call.weights != nullptr ? call.weights->layer : kNone;
    const RunStatus status =
        layer.run(packed, call.inputs[0], call.outputs[0], call.batch, call.steps[0], run_options(call));
    return finish(status, [&] { return why_refused(layer, status, call.steps[0]); });
  }
  int64_t output_steps(std::span<const int64_t> steps, size_t) const override {
    return layer.output_steps(steps[0]);
  }
  std::vector<int64_t> input_shape(size_t, std::span<const int64_t> steps) const override {
    return {steps[0], layer.channels()};
  }
  std::vector<int64_t> output_shape(size_t, std::span<const int64_t> steps) const override {
    return {layer.output_steps(steps[0]), layer.filters()};
  }
  int64_t workspace_bytes(int64_t batch, std::span<const int64_t> steps, int64_t threads) const override {
    return static_cast<int64_t>(layer.workspace_bytes(batch, steps[0], clamp_threads(threads)));
  }

  CompiledLayer layer;
};

struct FileModel final : convsmith_model {
  explicit FileModel(CompiledModel compiled) : model(std::move(compiled)) {
    text = model.plan();
    input_names = model.input_names();
    output_names = model.output_names();
    info = {.struct_size = sizeof(info),
            .kind = CONVSMITH_KIND_MODEL,
            .backend = static_cast<int32_t>(model.backend()),
            .isa = static_cast<int32_t>(model.isa()),
            .inputs = static_cast<int32_t>(model.input_count()),
            .outputs = static_cast<int32_t>(model.output_count()),
            .weights = 0,
            .code_bytes = model.code_bytes()};
  }
  Result<convsmith_weights> pack(std::span<const std::span<const float>>) const override {
    return make_error(ErrorCode::kInvalidData, "A model from a file has its own weights.");
  }
  convsmith_status run(const convsmith_call& call) const noexcept override {
    if (call.weights != nullptr)
      return fail(CONVSMITH_WRONG_WEIGHTS, "A model from a file has its own weights; weights must be null.");
    const RunStatus status = model.run(call.inputs, call.outputs, call.batch, call.steps, run_options(call));
    return finish(status, [&] { return why_refused(model, status, call.batch, call.steps); });
  }
  int64_t output_steps(std::span<const int64_t> steps, size_t output) const override {
    const Shape open = model.output_shapes().at(output);
    const std::vector<int64_t> shape = output_shape(output, steps);
    for (size_t axis = 0; axis < open.size(); ++axis)
      if (!open[axis]) return shape[axis];
    return 1;
  }
  std::vector<int64_t> input_shape(size_t input, std::span<const int64_t> steps) const override {
    std::vector<int64_t> shape;
    const Shape open = model.input_shapes().at(input);
    for (const auto& size : open) shape.push_back(size.value_or(steps[input]));
    return shape;
  }
  std::vector<int64_t> output_shape(size_t output, std::span<const int64_t> steps) const override {
    std::vector<int64_t> shape = model.output_shapes(1, steps).at(output);
    shape.erase(shape.begin());
    return shape;
  }
  int64_t workspace_bytes(int64_t batch, std::span<const int64_t> steps, int64_t threads) const override {
    return static_cast<int64_t>(model.workspace_bytes(batch, steps, clamp_threads(threads)));
  }

  CompiledModel model;
};

convsmith_status check_enum(const char* name, int32_t value, int32_t last) {
  if (value >= 0 && value <= last) return CONVSMITH_OK;
  return fail(
      CONVSMITH_INVALID_ARGUMENT,
      fmt::format("{} of convsmith_compile_options is {}; it must be from 0 to {}.", name, value, last));
}

convsmith_status check_enums(const convsmith_compile_options& given) {
  if (auto bad = check_enum("backend", given.backend, CONVSMITH_BACKEND_INTERP); bad != CONVSMITH_OK)
    return bad;
  if (auto bad = check_enum("isa", given.isa, CONVSMITH_ISA_AVX512); bad != CONVSMITH_OK) return bad;
  return check_enum("rules", given.rules, CONVSMITH_RULES_ANY);
}

constexpr int32_t kMaxRank = 32;  // NumPy's

convsmith_status read_layer_options(const convsmith_compile_options& given, CompileOptions& out) {
  if (given.input_rank < 0 || given.input_rank > kMaxRank) {
    return fail(CONVSMITH_INVALID_ARGUMENT,
                fmt::format("input_rank is {}; it must be from 0 to {}.", given.input_rank, kMaxRank));
  }
  if (given.input_rank > 0 && given.input_shape == nullptr)
    return fail(CONVSMITH_NULL_POINTER,
                fmt::format("input_shape is null, and input_rank is {}.", given.input_rank));
  out.backend = static_cast<Backend>(given.backend);
  out.isa = static_cast<Isa>(given.isa);
  out.rules = static_cast<Rules>(given.rules);
  for (int32_t axis = 0; axis < given.input_rank; ++axis) {
    const int64_t size = given.input_shape[axis];
    out.input_shape.push_back(size == -1 ? std::nullopt : std::optional(size));
  }
  if (given.schedule != nullptr) out.schedule = given.schedule;
  if (given.tuning != nullptr) out.tuning = given.tuning;
  return CONVSMITH_OK;
}

convsmith_status compile_layer(const char* spec, const convsmith_compile_options* options,
                               convsmith_model** out) {
  convsmith_compile_options given;
  CompileOptions read;
  if (auto bad = read_options(options, given, "convsmith_compile_options"); bad != CONVSMITH_OK) return bad;
  if (auto bad = check_enums(given); bad != CONVSMITH_OK) return bad;
  if (auto bad = read_layer_options(given, read); bad != CONVSMITH_OK) return bad;
  auto compiled = compile(std::string_view(spec), read);
  if (!compiled) return fail(compiled.error());
  *out = new LayerModel(std::move(*compiled));
  return CONVSMITH_OK;
}

convsmith_status compile_file(const char* path, const char* weights_path,
                              const convsmith_compile_options* options, convsmith_model** out) {
  convsmith_compile_options given;
  if (auto bad = read_options(options, given, "convsmith_compile_options"); bad != CONVSMITH_OK) return bad;
  if (auto bad = check_enums(given); bad != CONVSMITH_OK) return bad;
  if (given.input_rank != 0 || given.input_shape != nullptr || given.schedule != nullptr) {
    return fail(
        CONVSMITH_INVALID_ARGUMENT,
        "input_rank, input_shape and schedule are for single layers; for a model file they must be 0.");
  }
  const auto rules = static_cast<Rules>(given.rules);
  auto model =
      load_model({.path = path, .weights = weights_path != nullptr ? weights_path : "", .rules = rules});
  if (!model) return fail(model.error());
  auto compiled = compile(*model, {.backend = static_cast<Backend>(given.backend),
                                   .isa = static_cast<Isa>(given.isa),
                                   .rules = rules,
                                   .tuning = given.tuning != nullptr ? given.tuning : ""});
  if (!compiled) return fail(compiled.error());
  *out = new FileModel(std::move(*compiled));
  return CONVSMITH_OK;
}

convsmith_status pack_arrays(const convsmith_model& model, const float* const* arrays, const size_t* sizes,
                             size_t count, convsmith_weights** out) {
  if (count != model.weights.size()) {
    return fail(CONVSMITH_INVALID_DATA,
                fmt::format("The {} takes {} arrays of weights, got {}.",
                            model.info.kind == CONVSMITH_KIND_LAYER ? "layer" : "model", model.weights.size(),
                            count));
  }
  std::vector<std::span<const float>> spans;
  for (size_t i = 0; i < count; ++i) {
    if (arrays[i] == nullptr && sizes[i] > 0)
      return fail(CONVSMITH_NULL_POINTER, fmt::format("arrays[{}] ({}) is null.", i, model.weights[i].name));
    spans.emplace_back(arrays[i], sizes[i]);
  }
  auto packed = model.pack(spans);
  if (!packed) return fail(packed.error());
  *out = new convsmith_weights(std::move(*packed));
  return CONVSMITH_OK;
}

// Null, with a sentence, for a null model and an index beyond what `list` has; `what` is in the plural.
template <class Item>
const Item* item_at(const char* function, const convsmith_model* model,
                    std::vector<Item> convsmith_model::*list, const char* what, size_t index) {
  if (model == nullptr) {
    null_argument(function, "model");
    return nullptr;
  }
  const std::vector<Item>& items = model->*list;
  if (index < items.size()) return &items[index];
  guard([&] {
    return fail(CONVSMITH_INVALID_ARGUMENT,
                fmt::format("index is {}; there are {} {}.", index, items.size(), what));
  });
  return nullptr;
}

const WeightShape* weight_at(const char* function, const convsmith_model* model, size_t index) {
  return item_at(function, model, &convsmith_model::weights, "arrays of weights", index);
}

}  // namespace

}  // namespace convsmith::c_api

using namespace convsmith::c_api;

int32_t convsmith_abi_version(void) {
  return CONVSMITH_ABI_VERSION;
}

const char* convsmith_version(void) {
  return CONVSMITH_VERSION;
}

int32_t convsmith_version_number(void) {
  return CONVSMITH_VERSION_NUMBER;
}

int32_t convsmith_code_memory(void) {
  return static_cast<int32_t>(
      guard_number([] { return static_cast<int64_t>(convsmith::code_memory_kind()); }));
}

convsmith_status convsmith_compile(const char* spec, const convsmith_compile_options* options,
                                   convsmith_model** out) {
  if (out == nullptr) return null_argument(__func__, "out");
  *out = nullptr;
  if (spec == nullptr) return null_argument(__func__, "spec");
  return guard([&] { return compile_layer(spec, options, out); });
}

convsmith_status convsmith_load_model(const char* path, const char* weights_path,
                                      const convsmith_compile_options* options, convsmith_model** out) {
  if (out == nullptr) return null_argument(__func__, "out");
  *out = nullptr;
  if (path == nullptr) return null_argument(__func__, "path");
  return guard([&] { return compile_file(path, weights_path, options, out); });
}

convsmith_status convsmith_load_artifact(const char* path, const char* name, convsmith_model** out) {
  if (out == nullptr) return null_argument(__func__, "out");
  *out = nullptr;
  if (path == nullptr) return null_argument(__func__, "path");
  if (name == nullptr) return null_argument(__func__, "name");
  return guard([&] {
    auto artifact = load_artifact(path, name);
    if (!artifact) return fail(artifact.error());
    *out = artifact->release();
    return CONVSMITH_OK;
  });
}

void convsmith_model_destroy(convsmith_model* model) {
  delete model;
}

convsmith_status convsmith_get_info(const convsmith_model* model, convsmith_info* info) {
  if (model == nullptr) return null_argument(__func__, "model");
  if (info == nullptr) return null_argument(__func__, "info");
  const size_t size = info->struct_size;
  if (!is_struct_size(size)) return bad_struct_size("convsmith_info", size, sizeof(convsmith_info));
  std::memset(info, 0, size);
  std::memcpy(info, &model->info, std::min(size, sizeof(convsmith_info)));
  info->struct_size = size;
  return CONVSMITH_OK;
}

const char* convsmith_describe(const convsmith_model* model) {
  if (model != nullptr) return model->text.c_str();
  null_argument(__func__, "model");
  return nullptr;
}

const char* convsmith_weight_name(const convsmith_model* model, size_t index) {
  const auto* weight = weight_at(__func__, model, index);
  return weight != nullptr ? weight->name.c_str() : nullptr;
}

const char* convsmith_input_name(const convsmith_model* model, size_t index) {
  const std::string* name = item_at(__func__, model, &convsmith_model::input_names, "inputs", index);
  return name != nullptr ? name->c_str() : nullptr;
}

const char* convsmith_output_name(const convsmith_model* model, size_t index) {
  const std::string* name = item_at(__func__, model, &convsmith_model::output_names, "outputs", index);
  return name != nullptr ? name->c_str() : nullptr;
}

int32_t convsmith_weight_rank(const convsmith_model* model, size_t index) {
  const auto* weight = weight_at(__func__, model, index);
  return weight != nullptr ? static_cast<int32_t>(weight->shape.size()) : -1;
}

const int64_t* convsmith_weight_dims(const convsmith_model* model, size_t index) {
  const auto* weight = weight_at(__func__, model, index);
  return weight != nullptr ? weight->shape.data() : nullptr;
}

convsmith_status convsmith_pack(const convsmith_model* model, const float* const* arrays, const size_t* sizes,
                                size_t count, convsmith_weights** out) {
  if (out == nullptr) return null_argument(__func__, "out");
  *out = nullptr;
  if (model == nullptr) return null_argument(__func__, "model");
  if (arrays == nullptr) return null_argument(__func__, "arrays");
  if (sizes == nullptr) return null_argument(__func__, "sizes");
  return guard([&] { return pack_arrays(*model, arrays, sizes, count, out); });
}

void convsmith_weights_destroy(convsmith_weights* weights) {
  delete weights;
}
