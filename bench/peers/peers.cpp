#include "bench/peers/peers.hpp"

#include <iterator>

#include "codegen/target.hpp"

namespace convsmith::bench {

// Each in its own file, which is part of the program if the library was found.
std::vector<Way> onednn_ways(Isa isa);
std::vector<Way> xnnpack_ways();
std::vector<Way> libxsmm_ways(Isa isa);

std::vector<Way> peer_ways([[maybe_unused]] Isa isa) {
  std::vector<Way> ways;
  [[maybe_unused]] const auto add = [&](std::vector<Way> more) {
    ways.insert(ways.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
#ifdef CONVSMITH_HAVE_ONEDNN
  add(onednn_ways(isa));
#endif
#ifdef CONVSMITH_HAVE_XNNPACK
  // It cannot be told which instructions to use, so it is no peer of older ones.
  if (isa == detect_isa()) add(xnnpack_ways());
#endif
#ifdef CONVSMITH_HAVE_LIBXSMM
  add(libxsmm_ways(isa));
#endif
  return ways;
}

}  // namespace convsmith::bench
