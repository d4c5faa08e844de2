#include "tests/support/places.hpp"

namespace convsmith::places {

std::string test_data(const std::string& name) {
  return test_source("data/" + name);
}
std::string test_source(const std::string& name) {
  return CONVSMITH_TEST_SOURCES "/" + name;
}
std::string program() {
  return CONVSMITH_CLI;
}
std::string compiler() {
  return CONVSMITH_COMPILER;
}

}  // namespace convsmith::places
