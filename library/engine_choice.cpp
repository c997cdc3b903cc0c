#include "library/engine_choice.h"

#include <dlfcn.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "core/base/error.h"

namespace convoy::library {
namespace {

using cluster::Launcher;

namespace fs = std::filesystem;

// Beside the program, beside the library it is linked with, where an installation has it, and where the system looks
// for libraries.
std::vector<std::string> module_paths() {
  std::error_code error;
  const std::string name = distributed::kMpiModuleName;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<std::string> paths = {program / name, program / "../lib" / name};
  Dl_info self;
  if (dladdr(reinterpret_cast<const void*>(&uses_mpi), &self) != 0 && self.dli_fname != nullptr)
    paths.push_back(fs::absolute(self.dli_fname, error).parent_path() / name);
  paths.push_back(name);
  return paths;
}

}  // namespace

bool uses_mpi(const Recipe& recipe, const cluster::Place& place) {
  const bool launched = place.launcher != Launcher::kNone && place.launcher != Launcher::kConvoy;
  if (recipe.sync.engine == "mpi" && !launched) {
    fail(
        ErrorCode::kUsage,
        "{}: \"mpi\" needs workers that an MPI launcher starts (mpirun -np N convoy train RECIPE); this one's place is "
        "from: {}",
        recipe.where("sync.engine"), place.detected_by);
  }
  if (recipe.sync.engine == "local" && place.open) {
    fail(ErrorCode::kUsage,
         "{}: \"local\" connects workers of one host only, and the run was launched for others to join (--listen): "
         "expected \"auto\" or \"gloo\"",
         recipe.where("sync.engine"));
  }
  return recipe.sync.engine == "mpi" || (recipe.sync.engine == "auto" && launched && place.spans_hosts());
}

std::unique_ptr<distributed::MpiSession> start_mpi(const cluster::Place& place,
                                                   const cluster::Environment& environment) {
  auto session = std::make_unique<distributed::MpiSession>(
      distributed::MpiSessionOptions{.modules = module_paths(), .environment = environment});
  if (session->size() != place.world || session->rank() != place.rank) {
    fail(ErrorCode::kUsage,
         "MPI counts rank {} of {} (MPI_COMM_WORLD of {}), but the launcher's variables say rank {} of {} ({}); was "
         "the program started with that MPI's own mpirun?",
         session->rank(), session->size(), session->library(), place.rank, place.world, place.detected_by);
  }
  return session;
}

}  // namespace convoy::library
