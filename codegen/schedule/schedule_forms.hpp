// The three loop forms of a contraction, by what runs in the lanes of a vector, each with its tunable sizes.
// They turn sizes into schedule steps and decide nothing: choose_schedule picks the sizes, and a search may
// try others. A size that does not suit the problem makes a schedule that `apply` or `lower` refuses.
#pragma once

#include <variant>

#include "frontend/problem.hpp"
#include "ir/nest/schedule.hpp"

namespace convsmith {

// Lanes over filters: `rows` steps by `vectors` vectors of filters are accumulators.
struct FilterForm {
  int64_t rows = 1;
  int64_t vectors = 1;
  int64_t chunk = 0;   // steps that all filter blocks pass before the next ones; 0: each block passes all
  int64_t unroll = 1;  // items of the reduction in the loop's body; divides the channels of a group
  bool ragged = false;
  bool stream = false;
  bool prefetch = false;
  bool read_ahead = false;
  int64_t lift = 0;    // vectors of steps of a lifted tile; 0: none
  bool near = false;   // lifted tiles over neighbouring steps
  int64_t blend = 0;   // rows that share the vector of the last filters; 0: none
  bool slide = false;  // with lift, or with blend where that is the only vector
  bool fuse = false;   // taps and channels as one run of memory
  int64_t panel = 0;   // see StepKind::kPanel; 0: blocks of a tile
};
ir::Schedule lanes_over_filters(const FilterForm& form, int64_t lanes);

// Lanes over the groups of a depthwise layer: `rows` steps by `vectors` vectors of channels.
struct ChannelForm {
  int64_t rows = 1;
  int64_t vectors = 1;
  bool ragged = false;
  bool slide = false;
  bool stream = false;
  int64_t panel = 0;
};
ir::Schedule lanes_over_channels(const ChannelForm& form, int64_t lanes);

// Lanes over output steps: `filters` by `vectors` vectors of steps.
struct StepForm {
  int64_t filters = 1;
  int64_t vectors = 1;
  int64_t chunk = 0;  // as in FilterForm; channels first only
  int64_t unroll = 1;
  bool stage = false;           // steps are no neighbours in memory
  bool channels_first = false;  // one group at a time; else the input of all groups is staged together
  int64_t panel = 0;
};
ir::Schedule lanes_over_steps(const StepForm& form, int64_t lanes);

using ScheduleForm = std::variant<FilterForm, ChannelForm, StepForm>;
ir::Schedule schedule_of(const ScheduleForm& form, int64_t lanes);

}  // namespace convsmith
