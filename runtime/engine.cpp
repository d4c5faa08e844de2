// The cache in front of the compiler: from the text or the spec that a caller gives straight to the
// layer, without parsing, scheduling or printing anything on a hit.
#include <fmt/format.h>

#include <deque>
#include <list>
#include <mutex>
#include <unordered_map>

#include "convsmith/convsmith.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "frontend/keras/weight_shapes.hpp"
#include "ir/graph/build_graph.hpp"
#include "runtime/disk_cache.hpp"
#include "runtime/host/verbose.hpp"
#include "runtime/kernel_cache.hpp"
#include "runtime/layer_data.hpp"
#include "runtime/shared.hpp"

namespace convsmith {

namespace {

// What a caller asked for: text or spec, and options.
struct Request {
  std::string text;  // empty: spec
  LayerSpec spec;
  CompileOptions options;
  bool operator==(const Request&) const = default;
};

struct RequestHash {
  size_t operator()(const Request& r) const {
    const size_t what = r.text.empty() ? hash_layer_spec(r.spec) : std::hash<std::string>()(r.text);
    size_t how = static_cast<size_t>(r.options.backend) * 64 + static_cast<size_t>(r.options.isa) * 8 +
                 static_cast<size_t>(r.options.rules);
    for (const auto& axis : r.options.input_shape) how = how * 31 + static_cast<size_t>(axis.value_or(-1));
    return what ^ (how * 0x9e3779b97f4a7c15ULL) ^ std::hash<std::string>()(r.options.schedule) ^
           (std::hash<std::string>()(r.options.tuning) * 31);
  }
};

// Spec, tables and list nodes of one cached layer, roughly.
constexpr size_t kEntryBytes = 2048;
// Requests kept for one kernel: callers that name every input length would pile up thousands.
constexpr size_t kRequestsOfKernel = 64;

}  // namespace

struct Engine::Impl {
  struct Entry {
    Request request;
    std::shared_ptr<const LayerData> layer;
    size_t bytes;
  };
  using Entries = std::list<Entry>;  // most recently used first

  explicit Impl(size_t cap) : cap_bytes(cap) {}

  std::shared_ptr<const LayerData> find(const Request& request) {
    const std::lock_guard lock(mutex);
    const auto found = index.find(request);
    if (found == index.end()) return nullptr;
    entries.splice(entries.begin(), entries, found->second);
    ++hits;
    return found->second->layer;
  }

  void insert(const Request& request, const std::shared_ptr<const LayerData>& layer) {
    const std::lock_guard lock(mutex);
    if (index.contains(request)) return;  // another thread was first
    const size_t size = kEntryBytes + layer->graph->code_bytes;
    entries.push_front({request, layer, size});
    index.emplace(request, entries.begin());
    bytes += size;
    std::deque<Entries::iterator>& same = by_kernel[first_kernel(*layer)];
    same.push_back(entries.begin());
    if (same.size() > kRequestsOfKernel) forget(same.front());
    while (bytes > cap_bytes && entries.size() > 1) forget(std::prev(entries.end()));
  }

  static const CompiledKernel* first_kernel(const LayerData& layer) {
    return layer.graph->ops.front().parts.front().kernel.get();
  }

  void forget(Entries::iterator entry) {
    const auto same = by_kernel.find(first_kernel(*entry->layer));
    std::erase(same->second, entry);
    if (same->second.empty()) by_kernel.erase(same);
    bytes -= entry->bytes;
    index.erase(entry->request);
    entries.erase(entry);
  }

  mutable std::mutex mutex;
  size_t cap_bytes;
  size_t bytes = 0;
  uint64_t hits = 0;
  Entries entries;
  std::unordered_map<Request, Entries::iterator, RequestHash> index;
  std::unordered_map<const CompiledKernel*, std::deque<Entries::iterator>> by_kernel;  // oldest first
  KernelCache kernels{process_disk_cache()};
};

namespace {

Result<LayerProblem> problem_of(const LayerSpec& spec, const CompileOptions& options) {
  if (options.input_shape.empty()) return make_layer_problem(spec, options.rules);
  return make_layer_problem(spec, options.input_shape, options.rules);
}

Result<std::shared_ptr<const LayerData>> make_layer(const LayerSpec& spec, const CompileOptions& options,
                                                    KernelCache& kernels) {
  auto problem = problem_of(spec, options);
  if (!problem) return tl::unexpected(problem.error());
  auto choice = choose_backend(options.backend, options.isa);
  if (!choice) return tl::unexpected(choice.error());
  auto graph = ir::build_graph(spec, problem->chain.front().channels, options.rules);
  if (!graph) return tl::unexpected(graph.error());
  const auto tuning = load_tuning(options.tuning);
  if (!tuning) return tl::unexpected(tuning.error());
  auto compiled = compile_graph(std::move(*graph), choice->backend, choice->isa, options.schedule, kernels,
                                tuning->get());
  if (!compiled) return tl::unexpected(compiled.error());
  std::vector<WeightShape> weights = weight_shapes(spec, problem->chain.front().channels);
  return std::make_shared<const LayerData>(
      LayerData{spec, std::move(*problem), std::move(weights), std::move(*compiled)});
}

}  // namespace

Engine::Engine(size_t cache_bytes) : impl_(std::make_shared<Impl>(cache_bytes)) {}
Engine::~Engine() = default;

Result<CompiledLayer> Engine::compile(std::string_view text, const CompileOptions& options) {
  Request request{std::string(text), {}, options};
  if (auto layer = impl_->find(request)) return CompiledLayer(Shared<const LayerData>(std::move(layer)));
  auto parsed = parse_layer(text, options.rules);
  if (!parsed) return tl::unexpected(parsed.error());
  for (const std::string& note : parsed->notes) say(1, note);
  auto layer = make_layer(parsed->spec, options, impl_->kernels);
  if (!layer) return tl::unexpected(layer.error());
  impl_->insert(request, *layer);
  return CompiledLayer(Shared<const LayerData>(std::move(*layer)));
}

Result<CompiledLayer> Engine::compile(const LayerSpec& spec, const CompileOptions& options) {
  Request request{{}, spec, options};
  if (auto layer = impl_->find(request)) return CompiledLayer(Shared<const LayerData>(std::move(layer)));
  auto layer = make_layer(spec, options, impl_->kernels);
  if (!layer) return tl::unexpected(layer.error());
  impl_->insert(request, *layer);
  return CompiledLayer(Shared<const LayerData>(std::move(*layer)));
}

Engine::Stats Engine::stats() const {
  const std::lock_guard lock(impl_->mutex);
  const KernelCache::Stats kernels = impl_->kernels.stats();
  return {impl_->hits, kernels.compiles, impl_->bytes, kernels.loads};
}

Engine& default_engine() {
  static auto* engine = new Engine();  // never destroyed: threads may compile until the process ends
  return *engine;
}

Result<CompiledLayer> compile(std::string_view text, const CompileOptions& options) {
  return default_engine().compile(text, options);
}
Result<CompiledLayer> compile(const LayerSpec& spec, const CompileOptions& options) {
  return default_engine().compile(spec, options);
}

}  // namespace convsmith
