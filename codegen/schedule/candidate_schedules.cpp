#include "codegen/schedule/candidate_schedules.hpp"

#include <algorithm>

#include "codegen/lower/lower.hpp"
#include "codegen/schedule/choose_schedule.hpp"
#include "codegen/schedule/completed.hpp"
#include "ir/nest/build_nest.hpp"

namespace convsmith {

namespace {

// Of forms that the rules did not choose.
constexpr size_t kMostOfOtherForm = 10;
// How much worse than the best of its form the model may find a candidate.
constexpr double kHopeless = 1.6;
// A size beside the tile's that is not the chosen one counts as so much time, so that tiles are varied first.
constexpr double kChange = 0.02;

// A form with its estimated time for a multiply-add of a whole vector.
template <class Form>
struct Ranked {
  Form form;
  double cost;
};

// All forms that differ from one in some of its sizes.
template <class Form>
class Variants {
 public:
  explicit Variants(const Form& form) : forms_{form} {}

  // Each form so far also with each of these values.
  template <class T>
  void vary(T Form::*size, const std::vector<T>& values) {
    const size_t count = forms_.size();
    for (size_t i = 0; i < count; ++i) {
      for (const T value : values) {
        if (value == forms_[i].*size) continue;
        Form other = forms_[i];
        other.*size = value;
        forms_.push_back(other);
      }
    }
  }

  // Those to which `cost`, which may mend a form, gives more than 0, the cheapest first.
  template <class Cost>
  std::vector<Ranked<Form>> ranked(const Cost& cost) const {
    std::vector<Ranked<Form>> all;
    double best = 1e30;
    for (Form form : forms_) {
      const double time = cost(form);
      if (time <= 0) continue;
      all.push_back({form, time});
      best = std::min(best, time);
    }
    std::erase_if(all, [&](const Ranked<Form>& one) { return one.cost > kHopeless * best; });
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.cost < b.cost; });
    return all;
  }

 private:
  std::vector<Form> forms_;
};

std::vector<int64_t> numbers(int64_t first, int64_t last) {
  std::vector<int64_t> all;
  for (int64_t i = first; i <= last; ++i) all.push_back(i);
  return all;
}

// Of 1, 2, 4, 8 those that divide the channels of a group.
std::vector<int64_t> unroll_factors(const Problem& p) {
  std::vector<int64_t> factors;
  for (const int64_t factor : {1, 2, 4, 8}) {
    if (p.group_channels() % factor == 0) factors.push_back(factor);
  }
  return factors;
}

// Time for each useful vector of a row of `units` (filters, groups), in blocks of `block` vectors of `lanes`
// units beside `rows` other accumulators: idle lanes, accumulators too few to hide latency, and `loads` for
// each multiply-add.
template <class Loads>
double block_cost(const Target& target, int64_t units, int64_t lanes, int64_t block, int64_t rows,
                  const Loads& loads) {
  const int64_t total = (units + lanes - 1) / lanes;
  double cost = 0;
  for (int64_t left = total; left > 0; left -= block) {
    const int64_t width = std::min(left, block);
    const double idle = std::max(1.0, target.sums_in_flight / static_cast<double>(rows * width));
    cost += static_cast<double>(width) * idle * (1 + 0.1 * loads(static_cast<double>(width)));
  }
  return cost * static_cast<double>(lanes) / static_cast<double>(units);
}

// Heights of a tile that leave few registers idle, and fewer rows; `most` fit.
bool is_useful_height(int64_t rows, int64_t most, int64_t chosen) {
  return rows == most || rows + 1 == most || rows + 2 == most || rows == most * 3 / 4 || rows == most / 2 ||
         (rows == chosen && rows <= most);
}

int64_t vectors_of(int64_t units, const Target& target) {
  return (units + target.lanes - 1) / target.lanes;
}

// Rows whose accumulators fit beside the vectors that they share.
int64_t most_rows(const FilterForm& form, int64_t total, const Target& target) {
  const int64_t registers = target.vector_registers - 1 - form.vectors;
  const int64_t share = form.vectors == total ? std::max<int64_t>(1, form.blend) : 1;  // of the last vector
  return (registers * share - 2 * (share - 1)) / ((form.vectors - 1) * share + 1);
}

std::vector<Ranked<FilterForm>> variants_of(const FilterForm& chosen, const Problem& p,
                                            const Target& target) {
  const int64_t total = vectors_of(p.group_filters(), target);
  const int64_t chunk = chosen.chunk > 0 ? chosen.chunk : 512;
  Variants<FilterForm> variants(chosen);
  variants.vary(&FilterForm::vectors, numbers(1, 8));
  variants.vary(&FilterForm::rows, numbers(1, target.vector_registers - 2));
  variants.vary(&FilterForm::unroll, unroll_factors(p));
  variants.vary(&FilterForm::fuse, {false, true});
  variants.vary(&FilterForm::chunk, {0, chunk / 4, chunk, chunk * 4});
  variants.vary(&FilterForm::prefetch, {false, true});
  variants.vary(&FilterForm::read_ahead, {false, true});
  std::vector<int64_t> blends = {0};
  for (const int64_t rows : {2, 4}) {
    if (ir::can_blend(p, target.lanes, rows)) blends.push_back(rows);
  }
  variants.vary(&FilterForm::blend, blends);
  if (chosen.slide) variants.vary(&FilterForm::slide, {false});
  if (p.group_filters() % target.lanes != 0) variants.vary(&FilterForm::lift, {0, 1, 2, 3, 4, 6, 8, 12, 16});
  if (ir::can_be_near(p, target.lanes)) variants.vary(&FilterForm::near, {false, true});
  return variants.ranked([&](FilterForm& form) {
    const int64_t most = most_rows(form, total, target);
    if (form.vectors > total || !is_useful_height(form.rows, most, chosen.rows)) return 0.0;
    if (form.lift > 0 && form.blend > 0) return 0.0;
    if (form.near && (form.lift == 0 || form.slide || (form.fuse && p.channels > 1))) return 0.0;
    if (form.slide && (form.lift > 0) != (chosen.lift > 0)) return 0.0;
    if (form.slide && form.lift == 0 && form.blend == 0) return 0.0;
    // A chunk is for the next pass over the same input, and whole tiles.
    if (form.chunk > 0 && (form.rows == 1 || form.vectors >= total || form.lift > 0)) return 0.0;
    if (form.prefetch && form.vectors >= total) return 0.0;
    form.ragged = chosen.ragged || form.lift > 0;
    const int changes = (form.unroll != chosen.unroll) + (form.fuse != chosen.fuse) +
                        (form.chunk != chosen.chunk) + (form.lift != chosen.lift) +
                        (form.near != chosen.near) + (form.prefetch != chosen.prefetch) +
                        (form.read_ahead != chosen.read_ahead) + (form.blend != chosen.blend);
    form.chunk = (form.chunk + form.rows - 1) / form.rows * form.rows;
    const auto loads = [&](double width) { return 1 / width + 1 / static_cast<double>(form.rows); };
    return kChange * changes +
           block_cost(target, p.group_filters(), target.lanes, form.vectors, form.rows, loads);
  });
}

std::vector<Ranked<ChannelForm>> variants_of(const ChannelForm& chosen, const Problem& p,
                                             const Target& target) {
  const int64_t total = vectors_of(p.groups, target);
  Variants<ChannelForm> variants(chosen);
  variants.vary(&ChannelForm::vectors, numbers(1, 6));
  variants.vary(&ChannelForm::rows, numbers(1, target.vector_registers - 2));
  if (chosen.ragged) variants.vary(&ChannelForm::slide, {false, true});
  return variants.ranked([&](const ChannelForm& form) {
    const int64_t most = (target.vector_registers - 1 - form.vectors) / form.vectors;
    if (form.vectors > total || form.rows > most) return 0.0;
    const auto loads = [&](double) { return (form.slide ? 0 : 1) + 1 / static_cast<double>(form.rows); };
    return block_cost(target, p.groups, target.lanes, form.vectors, form.rows, loads);
  });
}

std::vector<Ranked<StepForm>> variants_of(const StepForm& chosen, const Problem& p, const Target& target) {
  Variants<StepForm> variants(chosen);
  variants.vary(&StepForm::filters, numbers(1, std::min<int64_t>(p.group_filters(), target.lanes)));
  variants.vary(&StepForm::vectors, numbers(1, 8));
  variants.vary(&StepForm::unroll, unroll_factors(p));
  return variants.ranked([&](StepForm& form) {
    const int64_t tile = form.vectors * target.lanes;
    form.chunk = (form.chunk + tile - 1) / tile * tile;
    if (form.filters * form.vectors + form.vectors + 1 > target.vector_registers) return 0.0;
    const auto loads = [&](double filters) { return 1 / filters + 1 / static_cast<double>(form.vectors); };
    return kChange * (form.unroll != chosen.unroll) +
           block_cost(target, p.group_filters(), 1, form.filters, form.vectors, loads);
  });
}

bool is_legal(const Problem& p, const Target& target, const ir::Schedule& schedule) {
  const auto nest = ir::apply(ir::build_nest(p), schedule);
  if (!nest) return false;
  const auto program = lower(completed(*nest, target), target, "candidate");
  // Scratch beyond the second cache is read again from memory.
  return program && program->scratch_bytes <= target.l2_bytes;
}

// The same steps with one of their numbers half as large and twice as large.
std::vector<ir::Schedule> other_numbers(const ir::Schedule& chosen, const Problem& p, const Target& target) {
  std::vector<ir::Schedule> others;
  const auto nest = ir::apply(ir::build_nest(p), chosen);
  if (!nest) return others;
  ir::Schedule all = with_numbers(chosen, completed(*nest, target));
  const auto vary = [&](int64_t& number) {
    const int64_t before = number;
    for (const int64_t other : {before / 2, before * 2}) {
      number = other;
      if (other > 0) others.push_back(all);
    }
    number = before;
  };
  for (ir::Step& step : all) {
    if (step.kind == ir::StepKind::kWide) vary(step.factor);
    for (int64_t& number : step.numbers) vary(number);
  }
  return others;
}

}  // namespace

std::vector<ir::Schedule> candidate_schedules(const Problem& p, const Target& target) {
  const std::vector<ScheduleForm> forms = all_forms(p, target);
  std::vector<ir::Schedule> candidates = {schedule_of(forms.front(), target.lanes)};
  for (ir::Schedule& other : other_numbers(candidates.front(), p, target)) {
    if (is_legal(p, target, other)) candidates.push_back(std::move(other));
  }
  size_t end = kMostCandidates - (forms.size() - 1) * kMostOfOtherForm;
  for (const ScheduleForm& form : forms) {
    const auto add = [&](const auto& chosen) {
      for (const auto& variant : variants_of(chosen, p, target)) {
        if (candidates.size() >= end) return;
        ir::Schedule schedule = schedule_of(variant.form, target.lanes);
        const bool is_new = std::find(candidates.begin(), candidates.end(), schedule) == candidates.end();
        if (is_new && is_legal(p, target, schedule)) candidates.push_back(std::move(schedule));
      }
    };
    std::visit(add, form);
    end = candidates.size() + kMostOfOtherForm;
  }
  return candidates;
}

}  // namespace convsmith
