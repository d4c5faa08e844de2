#include "ir/nest_interp.hpp"

#include <array>
#include <cmath>

#include "ir/band.hpp"

namespace convsmith::ir {

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

  void run(const std::function<float(float)>& activation) {
    const int64_t size = t_.batch * out_steps_ * p_.filters;
    for (int64_t i = 0; i < size; ++i) t_.out[i] = 0.0F;
    loop(0);
    for (int64_t n = 0; n < t_.batch; ++n) {
      for (int64_t o = 0; o < out_steps_; ++o) {
        for (int64_t f = 0; f < p_.filters; ++f) {
          float& y = t_.out[out_index(n, o, f)];
          y = activation(p_.has_bias ? y + t_.bias[f] : y);
        }
      }
    }
  }

 private:
  static size_t index(Dim dim) { return static_cast<size_t>(dim); }

  int64_t out_index(int64_t n, int64_t o, int64_t f) const {
    return n * out_steps_ * p_.filters +
           (p_.layout == Layout::kChannelsLast ? o * p_.filters + f : f * out_steps_ + o);
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
    if (position < 0 || position >= t_.steps) return;
    const int64_t channel = g * p_.group_channels() + c;
    const int64_t in =
        n * t_.steps * p_.channels + (p_.layout == Layout::kChannelsLast ? position * p_.channels + channel
                                                                         : channel * t_.steps + position);
    float& y = t_.out[out_index(n, o, f)];
    y = std::fma(t_.in[in], t_.kernel[(k * p_.group_channels() + c) * p_.filters + f], y);
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
               const std::function<float(float)>& activation) {
  Interpreter(nest, tensors).run(activation);
}

}  // namespace convsmith::ir
