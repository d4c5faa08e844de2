#include "ir/nest/nest_interp.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "ir/nest/band.hpp"

namespace convsmith::ir {

float combine(Combine kind, float y, float operand) {
  const bool nan = std::isnan(y) || std::isnan(operand);
  switch (kind) {
    case Combine::kNone:
      return y;
    case Combine::kAdd:
      return y + operand;
    case Combine::kSubtract:
      return y - operand;
    case Combine::kSubtractFrom:
      return operand - y;
    case Combine::kMultiply:
      return y * operand;
    case Combine::kDivide:
      return y / operand;
    case Combine::kMaximum:
      return nan ? y + operand : y > operand ? y : operand;
    case Combine::kMinimum:
      return nan ? y + operand : y < operand ? y : operand;
    case Combine::kPrelu:
      break;
  }
  const float positive = 0.0F > y ? 0.0F : y;
  const float negative = 0.0F > -y ? 0.0F : -y;
  return positive - operand * negative;
}

namespace {

constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();

// A buffer of scratch by what lies there, not where: one float for each element of the array that it stands
// for. What was not written since the last `forget` is poison.
class Scratch {
 public:
  void resize(int64_t count) { floats_.assign(static_cast<size_t>(count), {kPoison, 0}); }
  void forget() { ++now_; }
  void write(int64_t i, float value) { floats_[static_cast<size_t>(i)] = {value, now_}; }
  // Of what was there before the last `forget`, too.
  void keep(int64_t i) {
    Float& kept = floats_[static_cast<size_t>(i)];
    kept = {kept.written + 1 >= now_ ? kept.value : kPoison, now_};
  }
  float read(int64_t i) const {
    const Float& read = floats_[static_cast<size_t>(i)];
    return read.written == now_ ? read.value : kPoison;
  }

 private:
  struct Float {
    float value;
    int64_t written;
  };
  std::vector<Float> floats_;
  int64_t now_ = 1;
};

// The loops of a part, and what is asked of them again and again.
struct Chain {
  explicit Chain(const Loops& all) : loops(all) {
    for (size_t i = 0; i < loops.size(); ++i) {
      const Loop& l = loops[i];
      extents.push_back(kWhole);
      for (size_t j = 0; j < i; ++j) {
        if (loops[j].dim == l.dim && !is_band(loops[j].role)) extents.back() = loops[j].step;
      }
      tiles.push_back(l.dim == Dim::kStep && l.role == Role::kSerial &&
                      l.tail.strategy != TailStrategy::kOpen &&
                      !has_inside(loops, i, Dim::kStep, Role::kSerial));
    }
  }
  static constexpr int64_t kWhole = int64_t{1} << 60;
  const Loops& loops;
  std::vector<int64_t> extents;  // the step of the next loop outside over the same dimension, or kWhole
  std::vector<char> tiles;       // whether it has a tail
};

class Interpreter {
 public:
  Interpreter(const LoopNest& nest, const NestTensors& t)
      : nest_(nest),
        p_(nest.problem),
        t_(t),
        inside_(inside_of(nest)),
        out_steps_(p_.output_steps(t.steps)),
        pad_left_(p_.left_padding(t.steps)),
        main_chain_(nest.loops),
        inside_chain_(nest.inside) {
    for (size_t d = 0; d < kDimLetters.size(); ++d) {
      end_[d] = dim_extent(p_, static_cast<Dim>(d)).value_or(0);
    }
    end(Dim::kSample) = t.batch;
    end(Dim::kStep) = out_steps_;
    const int64_t outputs =
        t.batch == 0 || out_steps_ == 0 ? 0 : out_index(t.batch - 1, out_steps_ - 1, p_.filters - 1) + 1;
    sums_.resize(outputs);
    y1_.resize(outputs);
    x1_.resize(t.steps * p_.channels);
  }

  void run(const std::function<float(float)>& activation, const std::function<float(float)>& after) {
    for_each_output([&](int64_t, int64_t, int64_t, float& y) { y = kPoison; });
    loop(0);
    for_each_output([&](int64_t n, int64_t o, int64_t f, float& y) {
      if (p_.reduce == Reduce::kMean) y /= static_cast<float>(positions_inside(o));
      if (p_.has_bias && !p_.starts_from_bias) y += t_.bias[f];
      y = activation(y);
      if (p_.combine != Combine::kNone) y = after(combine(p_.combine, y, t_.operand[operand_index(n, o, f)]));
    });
  }

 private:
  int64_t& value(Dim dim) { return value_[static_cast<size_t>(dim)]; }
  int64_t& end(Dim dim) { return end_[static_cast<size_t>(dim)]; }

  template <class Body>
  void for_each_output(Body&& body) {
    for (int64_t n = 0; n < t_.batch; ++n) {
      for (int64_t o = 0; o < out_steps_; ++o) {
        for (int64_t f = 0; f < p_.filters; ++f) body(n, o, f, t_.out[out_index(n, o, f)]);
      }
    }
  }

  int64_t positions_inside(int64_t o) const {
    int64_t count = 0;
    for (int64_t k = 0; k < p_.taps; ++k) count += is_inside(o * p_.stride + k * p_.dilation - pad_left_);
    return count;
  }
  bool is_inside(int64_t position) const { return position >= 0 && position < t_.steps; }

  int64_t in_index(int64_t n, int64_t position, int64_t channel) const {
    if (p_.layout == Layout::kChannelsFirst) return (n * p_.channels + channel) * t_.steps + position;
    return (n * t_.steps + position) * p_.in_pitch() + channel;
  }

  int64_t out_index(int64_t n, int64_t o, int64_t f) const {
    if (p_.layout == Layout::kChannelsFirst) return (n * p_.filters + f) * out_steps_ + o;
    return (n * out_steps_ + o) * p_.out_pitch() + f;
  }

  int64_t operand_index(int64_t n, int64_t o, int64_t f) const {
    const int64_t steps = p_.operand_has_steps ? out_steps_ : 1;
    const int64_t channels = p_.operand_has_channels ? p_.filters : 1;
    const int64_t step = p_.operand_has_steps ? o : 0;
    const int64_t channel = p_.operand_has_channels ? f : 0;
    if (p_.layout == Layout::kChannelsFirst) return (n * channels + channel) * steps + step;
    const int64_t sample = steps * (p_.operand_row != 0 ? p_.operand_row : channels);
    return n * sample + step * p_.operand_pitch() + channel;
  }

  // ---- Loops, from the outside in

  void loop(size_t i) {
    if (i == chain_->loops.size()) return at_output();
    const Loop& l = chain_->loops[i];
    const bool outputs = l.role == Role::kSerial && !is_reduction(l.dim);
    if (l.role == Role::kBand) return bands(i);
    if (l.role == Role::kGuard) return guard(i);
    if (!outputs && phase_ == Phase::kOutside) return tile(i);
    if (is_reduction(l.dim) && phase_ != Phase::kSum) return loop(i + 1);
    if (chain_->tiles[i]) return tiles_of_steps(i);
    const int64_t begin = value(l.dim);
    const int64_t stop = std::min(end(l.dim), begin + chain_->extents[i]);
    for (int64_t x = begin; x < stop; x += l.step) {
      value(l.dim) = x;
      if (l.copies_in) stage(i, std::min(stop, x + l.step) - x);
      loop(i + 1);
    }
    value(l.dim) = begin;
    if (l.copies_in) staged_ = false;
  }

  // The loops inside, over steps [begin, stop).
  void steps(size_t i, int64_t begin, int64_t stop) {
    const int64_t before = value(Dim::kStep);
    const int64_t last = end(Dim::kStep);
    value(Dim::kStep) = begin;
    end(Dim::kStep) = stop;
    if (begin < stop) loop(i);
    value(Dim::kStep) = before;
    end(Dim::kStep) = last;
  }

  void taps(int64_t begin, int64_t stop) {
    value(Dim::kTap) = begin;
    end(Dim::kTap) = stop;
    value(Dim::kReduction) = begin * p_.group_channels();
    end(Dim::kReduction) = stop * p_.group_channels();
  }

  void bands(size_t i) {
    HostInts z;
    for (int64_t begin = 0; begin < out_steps_;) {
      const Band<int64_t> band = band_at(z, p_, begin, out_steps_, t_.steps, pad_left_);
      taps(band.tap_begin, band.tap_end);
      steps(i + 1, begin, band.end);
      begin = band.end;
    }
  }

  // Positions outside the input are skipped one by one. Steps that see all taps are made by the part inside,
  // as many as it can.
  void guard(size_t i) {
    if (nest_.inside.empty()) return steps(i + 1, 0, out_steps_);
    const auto floor_div = [](int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); };
    const int64_t first = std::clamp<int64_t>((pad_left_ + p_.stride - 1) / p_.stride, 0, out_steps_);
    const int64_t past = t_.steps + pad_left_ - (p_.taps - 1) * p_.dilation - 1;
    const int64_t stop = std::min(out_steps_, floor_div(past, p_.stride) + 1);
    steps(i + 1, 0, first);
    chain_ = &inside_chain_;
    const int64_t count = std::max<int64_t>(0, stop - first);
    const int64_t made = inside_.far ? far_steps(first, count) : near_steps(first, count);
    chain_ = &main_chain_;
    steps(i + 1, first + made, out_steps_);
  }

  // The tiles of a loop and of its tail.
  void tiles_of_steps(size_t i) {
    const Loop& l = chain_->loops[i];
    int64_t o = value(Dim::kStep);
    const int64_t stop = std::min(end(Dim::kStep), o + chain_->extents[i]);
    const auto tile_of = [&](int64_t count) {
      value(Dim::kStep) = o;
      if (l.copies_in) stage(i, count);
      steps(i + 1, o, o + count);
      o += count;
    };
    const int64_t begin = o;
    std::vector<int64_t> heights = {l.step};
    heights.insert(heights.end(), l.tail.sizes.begin(), l.tail.sizes.end());
    int64_t lower = std::accumulate(heights.begin(), heights.end(), int64_t{0});
    for (const int64_t height : heights) {
      lower -= height;
      const bool shifts = l.tail.strategy == TailStrategy::kShift;
      if (shifts && stop - begin < height) continue;
      while (shifts ? o < stop - lower : o + height <= stop) {
        o = std::min(o, stop - height);
        tile_of(height);
      }
    }
    // Masked vectors, or single steps that all blocks make together.
    const int64_t rest = l.tail.strategy == TailStrategy::kMask ? lane_count(nest_) : 1;
    while (o < stop) tile_of(std::min(rest, stop - o));
    value(Dim::kStep) = begin;
    if (l.copies_in) staged_ = false;
  }

  // ---- Copies

  // The input of `count` steps from here on.
  void stage(size_t i, int64_t count) {
    const int64_t row_bytes = bytes_of(p_.in_element) * t_.steps;
    const int64_t apart = chain_->loops[i].apart;
    staged_ = !stages_where_rows_meet(nest_) || apart == 0 || row_bytes % apart == 0;
    if (!staged_) return;
    x1_.forget();
    const int64_t tap_count = end(Dim::kTap) - value(Dim::kTap);
    const int64_t first = value(Dim::kStep) * p_.stride + value(Dim::kTap) * p_.dilation - pad_left_;
    const int64_t span = (count - 1) * p_.stride + (tap_count - 1) * p_.dilation + 1;
    int64_t groups = p_.groups;
    for (size_t j = 0; j < i; ++j) {
      if (chain_->loops[j].dim == Dim::kGroup) groups = chain_->loops[j].step;
    }
    const int64_t channel = value(Dim::kGroup) * p_.group_channels();
    const int64_t past = std::min(p_.channels, channel + groups * p_.group_channels());
    if (tap_count > 0) copy_in(first, span, channel, past);
  }

  void copy_in(int64_t first, int64_t count, int64_t channel, int64_t past) {
    for (int64_t q = first; q < first + count; ++q) {
      for (int64_t c = channel; c < past; ++c)
        x1_.write(q * p_.channels + c, t_.in[in_index(value(Dim::kSample), q, c)]);
    }
  }

  void copy_out(int64_t first, int64_t count) {
    for (int64_t o = first; o < first + count; ++o) {
      for (int64_t f = 0; f < p_.filters; ++f) {
        const int64_t i = out_index(value(Dim::kSample), o, f);
        t_.out[i] = y1_.read(i);
      }
    }
  }

  // ---- The part inside: steps [first, first + count) see all taps; returns how many were made

  int64_t far_steps(int64_t first, int64_t count) {
    const int64_t lanes = lane_count(nest_);
    const int64_t vectors = inside_.vectors;
    int64_t tiles = count / (vectors * lanes);
    int64_t apart = tiles * vectors;
    int64_t made = apart * lanes;
    // One more tile, whose lanes overlap, where that costs less than those steps one by one.
    const int64_t between = (count - apart - vectors) / (lanes - 1);
    const int64_t reached = apart + vectors + between * (lanes - 1);
    if (count >= apart + vectors && reached > made + inside_.worth - 1) {
      ++tiles;
      apart = between;
      made = reached;
    }
    taps(0, p_.taps);
    const int64_t block = inside_.skewed ? 1 : std::max<int64_t>(1, inside_.tiles);
    for (int64_t t = 0; t < tiles; t += block) {
      const int64_t steps_of_lane = std::min(block, tiles - t) * vectors;
      x1_.forget();
      y1_.forget();
      for (int64_t lane = 0; lane < lanes && !inside_.skewed; ++lane)
        far_input(first + lane * apart + t * vectors, steps_of_lane, t > 0);
      const int64_t rows = inside_.skewed ? 1 : vectors;
      staged_ = !inside_.skewed;
      through_y1_ = true;
      for (int64_t j = 0; j < steps_of_lane; j += rows) {
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const int64_t o = first + lane * apart + t * vectors + j;
          steps(3, o, o + rows);
        }
      }
      staged_ = through_y1_ = false;
      for (int64_t lane = 0; lane < lanes; ++lane)
        copy_out(first + lane * apart + t * vectors, steps_of_lane);
    }
    return made;
  }

  // A rolling buffer: what the block before has read and this one reads again is still there.
  void far_input(int64_t o, int64_t count, bool rolls) {
    const int64_t first = o * p_.stride - pad_left_;
    const int64_t span = (count - 1) * p_.stride + (p_.taps - 1) * p_.dilation + 1;
    const int64_t kept = rolls ? std::max<int64_t>(0, (p_.taps - 1) * p_.dilation + 1 - p_.stride) : 0;
    for (int64_t q = first; q < first + std::min(kept, span); ++q) {
      for (int64_t c = 0; c < p_.channels; ++c) x1_.keep(q * p_.channels + c);
    }
    if (span > kept) copy_in(first + kept, span - kept, 0, p_.channels);
  }

  int64_t near_steps(int64_t first, int64_t count) {
    const int64_t tile = inside_.vectors * lane_count(nest_);
    if (count < tile) return 0;
    taps(0, p_.taps);
    const int64_t chunk = inside_.chunk == 0 ? count : inside_.chunk;
    for (int64_t o = 0; o < count;) {
      const int64_t left = std::min(count - o, chunk);
      const int64_t size = std::max(left, tile);
      o += left - size;  // the last chunk is shifted inwards
      staged_ = p_.channels > 1;
      x1_.forget();
      if (staged_) copy_in(first + o - pad_left_, size + (p_.taps - 1) * p_.dilation, 0, p_.channels);
      for (int64_t q = 0; q < size; q += tile) {
        const int64_t begin = first + o + std::min(q, size - tile);
        through_y1_ = turns_near_sums(p_);
        y1_.forget();
        steps(staged_ ? 2 : 1, begin, begin + tile);
        if (through_y1_) copy_out(begin, tile);
      }
      through_y1_ = staged_ = false;
      o += size;
    }
    return count;
  }

  // ---- A tile: its sums begin, go over taps and channels, and are stored

  void tile(size_t i) {
    for (const Phase phase : {Phase::kBegin, Phase::kSum, Phase::kStore}) {
      phase_ = phase;
      loop(i);
    }
    phase_ = Phase::kOutside;
  }

  void at_output() {
    if (phase_ == Phase::kOutside) return tile(chain_->loops.size());
    const int64_t f = value(Dim::kGroup) * p_.group_filters() + value(Dim::kFilter);
    const int64_t i = out_index(value(Dim::kSample), value(Dim::kStep), f);
    if (phase_ == Phase::kSum) return multiply_add(i, f);
    if (phase_ == Phase::kBegin) {
      const float start = p_.reduce == Reduce::kMax ? -std::numeric_limits<float>::infinity() : 0.0F;
      return sums_.write(i, p_.starts_from_bias ? t_.bias[f] : start);
    }
    if (through_y1_) return y1_.write(i, sums_.read(i));
    t_.out[i] = sums_.read(i);
  }

  void multiply_add(int64_t i, int64_t f) {
    const int64_t r = value(Dim::kReduction);
    const int64_t k = nest_.fused() ? r / p_.group_channels() : value(Dim::kTap);
    const int64_t c = nest_.fused() ? r % p_.group_channels() : value(Dim::kChannel);
    const int64_t position = value(Dim::kStep) * p_.stride + k * p_.dilation - pad_left_;
    if (!is_inside(position)) return;
    const int64_t channel = value(Dim::kGroup) * p_.group_channels() + c;
    const float x = staged_ ? x1_.read(position * p_.channels + channel)
                            : t_.in[in_index(value(Dim::kSample), position, channel)];
    const float y = sums_.read(i);
    switch (p_.reduce) {
      case Reduce::kMultiplyAdd:
        return sums_.write(i, std::fma(x, t_.kernel[(k * p_.group_channels() + c) * p_.filters + f], y));
      case Reduce::kMax:
        return sums_.write(i, combine(Combine::kMaximum, x, y));
      case Reduce::kMean:
        return sums_.write(i, y + x);
      case Reduce::kCopy:
        return sums_.write(i, x);
    }
  }

  enum class Phase : uint8_t { kOutside, kBegin, kSum, kStore };

  const LoopNest& nest_;
  const Problem& p_;
  const NestTensors& t_;
  Inside inside_;
  int64_t out_steps_;
  int64_t pad_left_;
  Chain main_chain_, inside_chain_;
  const Chain* chain_ = &main_chain_;  // of the part that runs
  std::array<int64_t, kDimLetters.size()> value_{};
  std::array<int64_t, kDimLetters.size()> end_{};
  Phase phase_ = Phase::kOutside;
  bool staged_ = false;      // the input is read from x1
  bool through_y1_ = false;  // sums are stored there
  Scratch sums_, x1_, y1_;
};

}  // namespace

void interpret(const LoopNest& nest, const NestTensors& tensors,
               const std::function<float(float)>& activation, const std::function<float(float)>& after) {
  Interpreter(nest, tensors).run(activation, after);
}

}  // namespace convsmith::ir
