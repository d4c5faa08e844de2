#include "ir/nest/nest_interp.hpp"

#include <array>
#include <cmath>
#include <limits>

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

class Interpreter {
 public:
  Interpreter(const LoopNest& nest, const NestTensors& t)
      : nest_(nest),
        p_(nest.problem),
        t_(t),
        out_steps_(p_.output_steps(t.steps)),
        pad_left_(p_.left_padding(t.steps)) {
    for (size_t d = 0; d < kDimLetters.size(); ++d) {
      end_[d] = dim_extent(p_, static_cast<Dim>(d)).value_or(0);
    }
    end_[index(Dim::kSample)] = t.batch;
    end_[index(Dim::kStep)] = out_steps_;
  }

  void run(const std::function<float(float)>& activation, const std::function<float(float)>& after) {
    for_each_output([&](int64_t, int64_t, int64_t f, float& y) {
      y = p_.reduce == Reduce::kMax ? -std::numeric_limits<float>::infinity()
          : p_.starts_from_bias     ? t_.bias[f]
                                    : 0.0F;
    });
    loop(0);
    for_each_output([&](int64_t n, int64_t o, int64_t f, float& y) {
      if (p_.reduce == Reduce::kMean) y /= static_cast<float>(positions_inside(o));
      if (p_.has_bias && !p_.starts_from_bias) y += t_.bias[f];
      y = activation(y);
      if (p_.combine != Combine::kNone) y = after(combine(p_.combine, y, t_.operand[operand_index(n, o, f)]));
    });
  }

 private:
  static size_t index(Dim dim) { return static_cast<size_t>(dim); }

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

  void loop(size_t i) {
    if (i == nest_.loops.size()) return multiply_add();
    const Loop& l = nest_.loops[i];
    if (l.role == Role::kBand) return bands(i);
    const size_t d = index(l.dim);
    const auto inside = loop_extent(nest_, i);  // none: the whole of a run-time dimension
    const bool outermost = !has_outer(i);
    const int64_t begin = value_[d];
    const int64_t stop = outermost ? end_[d] : std::min(end_[d], begin + inside.value());
    for (int64_t x = begin; x < stop; x += l.step) {
      value_[d] = x;
      loop(i + 1);
    }
    value_[d] = begin;
  }

  bool has_outer(size_t i) const {
    for (size_t j = 0; j < i; ++j) {
      if (nest_.loops[j].dim == nest_.loops[i].dim && nest_.loops[j].role != Role::kBand) return true;
    }
    return false;
  }

  void bands(size_t i) {
    if (nest_.ragged) return loop(i + 1);  // positions outside are skipped one by one
    HostInts z;
    const size_t o = index(Dim::kStep);
    int64_t begin = 0;
    while (begin < out_steps_) {
      const Band<int64_t> band = band_at(z, p_, begin, out_steps_, t_.steps, pad_left_);
      value_[o] = begin;
      end_[o] = band.end;
      value_[index(Dim::kTap)] = band.tap_begin;
      end_[index(Dim::kTap)] = band.tap_end;
      value_[index(Dim::kReduction)] = band.tap_begin * p_.group_channels();
      end_[index(Dim::kReduction)] = band.tap_end * p_.group_channels();
      loop(i + 1);
      begin = band.end;
    }
    value_[o] = 0;
    end_[o] = out_steps_;
  }

  void multiply_add() {
    const int64_t r = value_[index(Dim::kReduction)];
    const int64_t k = nest_.fused() ? r / p_.group_channels() : value_[index(Dim::kTap)];
    const int64_t c = nest_.fused() ? r % p_.group_channels() : value_[index(Dim::kChannel)];
    const int64_t n = value_[index(Dim::kSample)];
    const int64_t g = value_[index(Dim::kGroup)];
    const int64_t o = value_[index(Dim::kStep)];
    const int64_t f = g * p_.group_filters() + value_[index(Dim::kFilter)];
    const int64_t position = o * p_.stride + k * p_.dilation - pad_left_;
    if (!is_inside(position)) return;
    const int64_t channel = g * p_.group_channels() + c;
    const int64_t in = p_.layout == Layout::kChannelsLast
                           ? (n * t_.steps + position) * p_.in_pitch() + channel
                           : (n * p_.channels + channel) * t_.steps + position;
    const float x = t_.in[in];
    float& y = t_.out[out_index(n, o, f)];
    switch (p_.reduce) {
      case Reduce::kMultiplyAdd:
        y = std::fma(x, t_.kernel[(k * p_.group_channels() + c) * p_.filters + f], y);
        break;
      case Reduce::kMax:
        y = combine(Combine::kMaximum, x, y);
        break;
      case Reduce::kMean:
        y += x;
        break;
      case Reduce::kCopy:
        y = x;
        break;
    }
  }

  const LoopNest& nest_;
  const Problem& p_;
  const NestTensors& t_;
  int64_t out_steps_;
  int64_t pad_left_;
  std::array<int64_t, kDimLetters.size()> value_{};
  std::array<int64_t, kDimLetters.size()> end_{};
};

}  // namespace

void interpret(const LoopNest& nest, const NestTensors& tensors,
               const std::function<float(float)>& activation, const std::function<float(float)>& after) {
  Interpreter(nest, tensors).run(activation, after);
}

}  // namespace convsmith::ir
