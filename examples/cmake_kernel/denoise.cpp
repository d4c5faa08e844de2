// Takes the noise out of the ECG in a .csv file like ../ecg/ecg.csv and compares the result with Keras's:
//
//   build/denoise ../ecg/ecg.csv
//
// The network ../ecg/model.keras is part of this program (CMakeLists.txt).
#include <ecg.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: denoise FILE.csv\n"), 2;
  std::FILE* file = std::fopen(argv[1], "r");
  if (file == nullptr) return std::perror(argv[1]), 1;

  // Columns: sample, noisy, what Keras made of it, clean.
  std::vector<float> noisy;
  std::vector<float> keras;
  float values[2];
  std::fscanf(file, "%*[^\n]");
  while (std::fscanf(file, " %*d , %f , %f , %*f", &values[0], &values[1]) == 2) {
    noisy.push_back(values[0]);
    keras.push_back(values[1]);
  }
  std::fclose(file);

  const auto steps = static_cast<int64_t>(noisy.size());
  const int64_t out_steps = ecg_output_steps(steps);
  if (out_steps != steps) return std::fprintf(stderr, "denoise: the file has no ECG of whole windows\n"), 1;
  std::vector<float> denoised(static_cast<std::size_t>(out_steps));
  std::vector<char> workspace(static_cast<std::size_t>(ecg_workspace_bytes(1, steps)));
  const int status = ecg_run(noisy.data(), denoised.data(), 1, steps, workspace.data());
  if (status != 0) return std::fprintf(stderr, "denoise: ecg_run failed with status %d\n", status), 1;

  float largest = 0;
  for (std::size_t i = 0; i < keras.size(); ++i)
    largest = std::max(largest, std::abs(denoised[i] - keras[i]));
  std::printf("%zu samples; Keras's values differ by %g mV at most\n", denoised.size(), largest);
  return largest < 1e-5F ? 0 : 1;
}
