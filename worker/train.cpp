#include <filesystem>
#include <tuple>

#include "cluster/address.h"
#include "core/base/error.h"
#include "core/nn/model.h"
#include "core/nn/optimizer.h"
#include "worker/commands.h"
#include "worker/memory_share.h"
#include "worker/placement.h"
#include "worker/trainer.h"

namespace convoy::worker {
namespace {

// Data and models know keys, but not the recipe they come from: does `make` and, if that refuses a key's value, says
// where in the recipe the key stands. What names no key is about `subject`, a key too, if there is one.
template <typename Make>
auto located(const Recipe& recipe, const std::string& subject, Make make) {
  try {
    return make();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUsage) throw;
    const std::string message = error.what();
    const std::size_t colon = message.find(": ");
    const std::string key = message.substr(0, colon);
    if (colon != std::string::npos && recipe.origin.places.contains(key))
      fail(ErrorCode::kUsage, "{}{}", recipe.where(key), message.substr(colon));
    if (subject.empty()) throw;
    fail(ErrorCode::kUsage, "{}: {}", recipe.where(subject), message);
  }
}

void check_sizes(const Dataset& dataset) {
  for (const auto& [name, split, least] : {std::tuple{"kTrain", Split::kTrain, 1}, {"kEval", Split::kEval, 0}}) {
    const std::int64_t size = dataset.size(split);
    if (size < least)
      fail(ErrorCode::kUsage, "the data set's size(Split::{}) is {}: expected at least {}", name, size, least);
  }
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail(ErrorCode::kUnavailable, "{}: cannot make the folder: {}", path, error.message());
}

}  // namespace

void preflight(const Recipe& recipe, const Workload& workload, std::int32_t workers, std::int32_t local_workers) {
  const std::unique_ptr<Dataset> dataset = located(recipe, "data.path", [&] { return workload.open_dataset(recipe); });
  check_sizes(*dataset);
  const std::unique_ptr<Model> model =
      located(recipe, "", [&] { return workload.make_model(recipe, task_of(*dataset, recipe)); });
  std::int64_t elements = 0;
  for (const Parameter& parameter : model->parameters()) elements += parameter.elements();
  if (const auto share = memory_share(local_workers))
    room_beside_state(elements, make_optimizer(recipe.optimizer)->moments().size(),
                      gradient_arenas(recipe.train.logical_shards, 0, workers), *share);
}

int train(const TrainCommand& command, Logger& logger) {
  const Uuid uuid = Uuid::random();
  logger.set_rank(command.place.rank);
  const std::string logs = command.run_directory + "/logs";
  make_folder(logs);
  logger.add_file(logs + "/worker-" + uuid.to_string() + ".log");
  const Cores all_cores = allowed_cores();
  bind_to_cores(command.place, command.recipe.train.threads, logger);
  logger
      .mute_terminal();  // the terminal has the progress line and what goes wrong, said once by main(); the log has all
  logger.info("worker {}: rank {} of {} on host {} ({})", uuid.to_string(), command.place.rank, command.place.world,
              cluster::host_name(), command.place.detected_by);
  Trainer trainer(command, uuid, logger, all_cores);
  Trainer::End end;
  try {
    end = trainer.run();
  } catch (const Error& error) {
    if (const std::optional<cluster::Stop> stop = trainer.ended_by_scheduler()) {
      trainer.leave(stop->exit_code, "");
      return stop->exit_code;
    }
    logger.write(LogLevel::kError, error.what());
    // What a worker computes or is told, every worker does or is; its disk, memory and peers are its own.
    const bool ends_run = error.code() == ErrorCode::kUsage || error.code() == ErrorCode::kInvalidArgument;
    trainer.leave(error.code() == ErrorCode::kUsage ? 2 : 1, error.what(), ends_run);
    throw;
  } catch (const std::exception& error) {
    trainer.leave(1, error.what());
    throw;
  }
  trainer.leave(end.exit_code, end.reason);
  return end.exit_code;
}

}  // namespace convoy::worker
