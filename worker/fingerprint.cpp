#include "worker/fingerprint.h"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <span>
#include <sstream>
#include <string>

#include "cluster/fit.h"
#include "core/base/hash.h"

namespace convoy::worker {
namespace {

// The build id that the linker stamped into a loaded object, as hex.
std::string build_id(const dl_phdr_info& object) {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object.dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const char*>(object.dlpi_addr + segment.p_vaddr);
    const char* end = at + segment.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
      const char* name = at + sizeof(ElfW(Nhdr));
      const auto* id = reinterpret_cast<const unsigned char*>(name + (note->n_namesz + 3) / 4 * 4);
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
        std::string hex;
        for (std::size_t k = 0; k < note->n_descsz; ++k) hex += fmt::format("{:02x}", id[k]);
        return hex;
      }
      at = reinterpret_cast<const char*>(id) + (note->n_descsz + 3) / 4 * 4;
    }
  }
  return "none";
}

// The program itself and every shared library it has loaded, each with its build id.
void add_binaries(Fingerprint& fingerprint) {
  std::set<std::string> lines;
  dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* out) {
        std::string name = object->dlpi_name;
        name = name.substr(name.rfind('/') + 1);
        if (name.starts_with("linux-vdso")) return 0;
        static_cast<std::set<std::string>*>(out)->insert((name.empty() ? "program" : name) + " " + build_id(*object));
        return 0;
      },
      &lines);
  for (const std::string& line : lines) {
    const std::size_t space = line.find(' ');
    fingerprint.add("build of " + line.substr(0, space), line.substr(space + 1));
  }
}

std::string cpu_field(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(std::min(line.size(), line.find(':') + 2));
  }
  return "unknown";
}

void add_processor(Fingerprint& fingerprint) {
  fingerprint.add("cpu model", cpu_field("model name"));
  const std::string flags = cpu_field("flags");
  fingerprint.add("cpu features", fmt::format("{:016x}", xxh3_64(std::as_bytes(std::span(flags)))));
  fingerprint.add("cpu caches", fmt::format("L1d {} B, L2 {} B, L3 {} B", sysconf(_SC_LEVEL1_DCACHE_SIZE),
                                            sysconf(_SC_LEVEL2_CACHE_SIZE), sysconf(_SC_LEVEL3_CACHE_SIZE)));
}

// Every key, so that whoever compares can say which one differs. to_toml() writes one a line below its section.
void add_recipe(Fingerprint& fingerprint, const Recipe& recipe) {
  std::istringstream text(to_toml(without_places(recipe)));
  std::string section;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with('[') && line.ends_with(']')) section = line.substr(1, line.size() - 2) + '.';
    const std::size_t equals = line.find(" = ");
    if (equals != std::string::npos)
      fingerprint.add(cluster::kRecipeEntry + section + line.substr(0, equals), line.substr(equals + 3));
  }
}

// A model of a program's own may depend on more than the recipe. Where steps are dynamic nothing tells of it. In the
// order in which all workers capture; which plan of theirs was made or used last differs with the shards they hold.
void add_graphs(Fingerprint& fingerprint, const Replica& replica) {
  std::map<std::int64_t, const PlannedFunction*> in_order;
  for (const PlannedFunction& planned : replica.plans()) in_order.emplace(planned.number, &planned);
  for (const auto& [number, planned] : in_order) {
    const Graph& graph = planned->captured.graph;
    fingerprint.add("graph of the " + planned->name,
                    fmt::format("{} operators, {}", graph.nodes().size(), convoy::fingerprint(graph)));
  }
}

// Variables by which oneDNN, OpenMP and the C library's mathematics let their numerics be changed from outside.
constexpr const char* kNumericVariables[] = {
    "DNNL_MAX_CPU_ISA",     "ONEDNN_MAX_CPU_ISA",       "DNNL_CPU_ISA_HINTS",
    "ONEDNN_CPU_ISA_HINTS", "DNNL_DEFAULT_FPMATH_MODE", "ONEDNN_DEFAULT_FPMATH_MODE",
    "OMP_DYNAMIC",          "OMP_THREAD_LIMIT",         "GLIBC_TUNABLES"};

}  // namespace

std::string program_build() {
  std::string id;
  dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* out) {
        *static_cast<std::string*>(out) = build_id(*object);
        return 1;  // the program comes first
      },
      &id);
  return id;
}

Fingerprint fingerprint_of(const Recipe& recipe, const Dataset& dataset, const Replica& replica,
                           const cluster::Environment& environment) {
  Fingerprint fingerprint;
  add_binaries(fingerprint);
  add_processor(fingerprint);
  for (const char* name : kNumericVariables)
    fingerprint.add(fmt::format("environment variable {}", name), environment(name).value_or("(not set)"));
  fingerprint.add("threads", fmt::to_string(replica.device().threads()));
  fingerprint.add("logical shards", fmt::to_string(recipe.train.logical_shards));
  fingerprint.add("seed", fmt::to_string(recipe.train.seed));
  fingerprint.add("bucket cuts", replica.layout().cuts());
  fingerprint.add("data digest", dataset.digest());
  add_recipe(fingerprint, recipe);
  add_graphs(fingerprint, replica);
  return fingerprint;
}

}  // namespace convoy::worker
