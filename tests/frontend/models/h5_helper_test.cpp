// The program that reads HDF5 files: found or a sentence, and nothing that it does or sends hurts its caller.
#include "frontend/models/h5_helper.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "frontend/models/h5_records.hpp"
#include "tests/cli/temporary_folder.hpp"
#include "tests/frontend/models/model_files.hpp"
#include "tests/support/process.hpp"

namespace convsmith {
namespace {

using cli_test::TemporaryFolder;
using model_files::bytes_of;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kFile = "nested_k3/model.h5";

// Another program in the place of ours, while it lives.
class Helper {
 public:
  explicit Helper(const std::string& path) { setenv("CONVSMITH_H5_HELPER", path.c_str(), 1); }
  ~Helper() { unsetenv("CONVSMITH_H5_HELPER"); }
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;
};

std::string script(const TemporaryFolder& folder, const std::string& text) {
  const std::string path = folder.write("helper.sh", "#!/bin/sh\n" + text + "\n");
  chmod(path.c_str(), 0755);
  return path;
}

// What comes of a good file where the program is this script.
Error error_with(const std::string& text) {
  const TemporaryFolder folder;
  const Helper helper(script(folder, text));
  const Result<LoadedModel> model = load_model_bytes(bytes_of(kFile), "m.h5");
  EXPECT_FALSE(model) << text;
  return model ? Error{} : model.error();
}

// A shell command that writes the greeting, and `records` behind it as printf understands them.
std::string say(const std::string& records = "") {
  std::string greeting(models::kH5Greeting);
  greeting.pop_back();
  return "printf '" + greeting + "\\n" + records + "'";
}

TEST(H5Helper, WhereItIsMissingTheSentenceSaysWhatAndWhere) {
  for (const char* path : {"/nowhere/convsmith-h5dump", "no_such_program", "/etc/passwd", "/usr"}) {
    const Helper helper(path);
    for (const char* file : {"nested_k3/model.h5", "nested_k3/model.keras"}) {
      const Result<LoadedModel> model = load_model(model_files::path_of(file));
      ASSERT_FALSE(model) << path;
      EXPECT_EQ(model.error().code, ErrorCode::kUnavailable);
      EXPECT_THAT(model.error().message,
                  AllOf(HasSubstr(path), HasSubstr("HDF5 files, and the weights in .keras files")));
    }
    EXPECT_FALSE(check_model_files());
    // An architecture alone needs no HDF5.
    EXPECT_TRUE(load_model(model_files::path_of("nested_k3/model.json")));
  }
  const Helper none("");  // as if it were not set
  EXPECT_TRUE(load_model(model_files::path_of(kFile)));
  EXPECT_TRUE(check_model_files());
}

TEST(H5Helper, OtherProgramsAreToldApart) {
  for (const char* text : {"true", "exit 3", "cat", "kill -SEGV $$", "echo convsmith-h5dump 0; cat",
                           "echo usage: something >&2; exit 127", "exec 0<&- 1<&-; sleep 0.1"}) {
    const Error error = error_with(text);
    EXPECT_EQ(error.code, ErrorCode::kUnavailable) << text;
    EXPECT_THAT(error.message, HasSubstr("does not answer as the program of this version does")) << text;
  }
}

TEST(H5Helper, WhatItSendsIsNotBelieved) {
  // Kind bytes: 0 group, 1 end, 2 attribute, 3 dataset, 4 refused.
  const std::string root = R"(\000\000\000\000\000\000\000\000\000)",
                    name = R"(\001\000\000\000\000\000\000\000a)";
  const std::string huge = R"(\377\377\377\377\377\377\377\177)";
  for (const std::string& records : {
           std::string(), std::string("\\005"), std::string("\\011"), root,  // cut short
           root + R"(\002)" + name + huge,                                   // texts without end
           root + R"(\003)" + name + name + R"(\001\000\000\000\000\000\000\000)" + huge,  // a giant
           root + R"(\003)" + name + name + R"(\002\000\000\000\000\000\000\000)" + huge + huge,
           root + R"(\003)" + name + name + huge,      // axes without end
           root + R"(\002)" + huge, R"(\000)" + huge,  // long names
           root + R"(\001\001)",                       // more ends than groups
       }) {
    const Error error = error_with(say(records));
    EXPECT_EQ(error.code, ErrorCode::kInvalidData) << records;
    EXPECT_EQ(error.message, "The HDF5 file 'm.h5' is damaged: its structure can't be read.");
  }
  // Groups in groups in groups.
  EXPECT_EQ(error_with(say() + "; head -c 9000000 /dev/zero").code, ErrorCode::kInvalidData);
}

TEST(H5Helper, NeitherEndlessAnswersNorSilenceHoldTheCaller) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(error_with(say() + "; cat /dev/zero").code, ErrorCode::kInvalidData);
  EXPECT_EQ(error_with("trap '' TERM PIPE; " + say() + "; exec sleep 1000").code, ErrorCode::kInvalidData);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

size_t open_files() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST(H5Helper, LeavesNothingBehind) {
  const std::string bytes = bytes_of(kFile);
  const size_t before = open_files();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(load_model_bytes(bytes, "m.h5"));
  for (const char* text : {"true", "cat"}) error_with(text);
  EXPECT_EQ(open_files(), before);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);  // no child, dead or alive
}

TEST(H5Helper, WorksInManyThreads) {
  const LoadedModel wanted = load_model_bytes(bytes_of(kFile), "m.h5").value();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto model = load_model_bytes(bytes_of(kFile), "m.h5");
      ASSERT_TRUE(model);
      for (size_t j = 0; j < wanted.spec.layers.size(); ++j)
        EXPECT_EQ(model->spec.layers[j].weights, wanted.spec.layers[j].weights);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Hosts that block or ignore signals, reap all children, or have closed the standard files.
TEST(H5Helper, WorksInUnusualHosts) {
  const std::string bytes = bytes_of(kFile);
  const auto loads = [&] { return load_model_bytes(bytes, "m.h5").has_value(); };
  EXPECT_EQ(test::run_in_child([&] {
              sigset_t all;
              sigfillset(&all);
              sigprocmask(SIG_SETMASK, &all, nullptr);
              return loads();
            }),
            "exit 0");
  EXPECT_EQ(test::run_in_child([&] {
              signal(SIGCHLD, SIG_IGN);
              signal(SIGPIPE, SIG_IGN);
              return loads() && loads();
            }),
            "exit 0");
  for (const int first : {0, 1, 2}) {
    EXPECT_EQ(test::run_in_child([&] {
                for (int file = first; file < 3; ++file) close(file);
                return loads() && loads();
              }),
              "exit 0");
  }
  EXPECT_EQ(test::run_in_child([&] { return chdir("/") == 0 && loads(); }), "exit 0");
}

}  // namespace
}  // namespace convsmith
