// Where the tests find what the build knows: the only file of the tests whose objects hold paths, so that
// those of two checkouts are alike.
#pragma once

#include <string>

namespace convsmith::places {

std::string test_data(const std::string& name);  // a file or folder of tests/data
std::string test_source(const std::string& name);
std::string program();   // the command line program
std::string compiler();  // the one that built the tests

}  // namespace convsmith::places
