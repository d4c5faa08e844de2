#include "cli/program.hpp"

#include "cli/commands.hpp"

namespace convsmith::cli {

void add_commands(CLI::App& app, int& exit_code) {
  add_run(app, exit_code);
  add_inspect(app, exit_code);
  add_explain(app, exit_code);
  add_compile(app, exit_code);
  add_compare(app, exit_code);
  add_tune(app, exit_code);
  add_verify(app, exit_code);
  add_info(app, exit_code);
}

}  // namespace convsmith::cli
