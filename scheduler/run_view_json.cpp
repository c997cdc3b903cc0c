#include "scheduler/run_view_json.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/error.h"

namespace convoy::scheduler {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kStates = {
    std::pair{RunState::kGathering, "gathering"}, std::pair{RunState::kSealing, "sealing"},
    std::pair{RunState::kRunning, "running"},     std::pair{RunState::kWaiting, "waiting"},
    std::pair{RunState::kFinishing, "finishing"}, std::pair{RunState::kFinished, "finished"},
    std::pair{RunState::kStopped, "stopped"},     std::pair{RunState::kAway, "away"}};

RunState state_of(const std::string& name) {
  for (const auto& [state, text] : kStates) {
    if (name == text) return state;
  }
  fail(ErrorCode::kDataLoss, "'{}' is no state of a run", name);
}

Ballot ballot_of(const std::string& text) {
  const std::size_t point = text.find('.');
  if (point == std::string::npos) fail(ErrorCode::kDataLoss, "'{}' is no ballot", text);
  return {.term = std::stoull(text), .attempt = static_cast<std::uint32_t>(std::stoul(text.substr(point + 1)))};
}

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json json_of(const std::optional<StepSpread>& spread) {
  if (!spread) return nullptr;
  return {{"median_ms", spread->median_ms}, {"p99_ms", spread->p99_ms}, {"steps", spread->steps}};
}

Json json_of(const WorkerView& worker) {
  return {{"uuid", worker.uuid.to_string()},
          {"rank", worker.rank >= 0 ? Json(worker.rank) : Json(nullptr)},
          {"host", worker.host},
          {"pid", worker.pid},
          {"phase", worker.phase},
          {"step", worker.step},
          {"step_time", json_of(worker.step_time)},
          {"heartbeat_age_s", or_null(worker.heartbeat_age_s)},
          {"joined", or_null(worker.joined_s)}};
}

Json json_of(const TimedEvent& entry) {
  const Event& event = entry.event;
  return {{"time", entry.time_s},
          {"kind", event.kind},
          {"worker", event.worker ? Json(event.worker->to_string()) : Json(nullptr)},
          {"rank", event.rank >= 0 ? Json(event.rank) : Json(nullptr)},
          {"ballot", event.ballot.to_string()},
          {"step", event.step},
          {"detail", event.detail}};
}

double number_of(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

std::optional<double> optional_number(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(json.get<double>());
}

std::int32_t rank_of(const Json& json) { return json.is_null() ? -1 : json.get<std::int32_t>(); }

std::optional<StepSpread> spread_of(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return StepSpread{
      .median_ms = number_of(json.at("median_ms")), .p99_ms = number_of(json.at("p99_ms")), .steps = json.at("steps")};
}

WorkerView worker_of(const Json& json) {
  return {.uuid = Uuid::parse(json.at("uuid").get<std::string>()),
          .rank = rank_of(json.at("rank")),
          .host = json.at("host"),
          .pid = json.at("pid"),
          .phase = json.at("phase"),
          .step = json.at("step"),
          .step_time = spread_of(json.at("step_time")),
          .heartbeat_age_s = optional_number(json.at("heartbeat_age_s")),
          .joined_s = optional_number(json.at("joined"))};
}

TimedEvent event_of(const Json& json) {
  const Json& worker = json.at("worker");
  return {.time_s = json.at("time"),
          .event = {.kind = json.at("kind"),
                    .worker = worker.is_null() ? std::nullopt : std::optional(Uuid::parse(worker.get<std::string>())),
                    .rank = rank_of(json.at("rank")),
                    .ballot = ballot_of(json.at("ballot")),
                    .step = json.at("step"),
                    .detail = json.at("detail")}};
}

RunView view_of(const Json& json) {
  if (const int schema = json.at("schema"); schema != kViewSchemaVersion)
    fail(ErrorCode::kDataLoss, "of schema {}, expected {}", schema, kViewSchemaVersion);
  RunView view{.time_s = json.at("time"),
               .live = json.at("live"),
               .scheduler = Uuid::parse(json.at("scheduler").get<std::string>()),
               .run_directory = json.at("run"),
               .recipe = json.at("recipe"),
               .state = state_of(json.at("state")),
               .reason = json.at("reason"),
               .ballot = ballot_of(json.at("ballot")),
               .term = json.at("term"),
               .step = json.at("step"),
               .steps = json.at("steps"),
               .loss = number_of(json.at("loss")),
               .rate = number_of(json.at("rate")),
               .rate_unit = json.at("rate_unit"),
               .samples_per_s = number_of(json.at("samples_per_s")),
               .seconds_left = number_of(json.at("seconds_left")),
               .started_s = number_of(json.at("started")),
               .step_time = spread_of(json.at("step_time")),
               .scheduler_restarts = json.at("scheduler_restarts"),
               .workers_joined = json.at("workers_joined"),
               .workers_lost = json.at("workers_lost"),
               .steps_done = json.at("steps_done"),
               .steps_done_s = number_of(json.at("steps_done_s"))};
  if (const Json& checkpoint = json.at("checkpoint"); !checkpoint.is_null())
    view.checkpoint = CheckpointView{.step = checkpoint.at("step"), .time_s = checkpoint.at("time")};
  for (const Json& worker : json.at("workers")) view.workers.push_back(worker_of(worker));
  for (const Json& point : json.at("loss_curve"))
    view.loss_curve.push_back({.step = point.at(0), .loss = number_of(point.at(1))});
  for (const Json& event : json.at("events")) view.events.push_back(event_of(event));
  return view;
}

}  // namespace

std::string_view state_name(RunState state) {
  for (const auto& [known, text] : kStates) {
    if (state == known) return text;
  }
  return "unknown";
}

std::string to_json(const RunView& view) {
  Json json{{"schema", kViewSchemaVersion},
            {"time", view.time_s},
            {"live", view.live},
            {"scheduler", view.scheduler.to_string()},
            {"run", view.run_directory},
            {"recipe", view.recipe},
            {"state", state_name(view.state)},
            {"reason", view.reason},
            {"ballot", view.ballot.to_string()},
            {"term", view.term},
            {"step", view.step},
            {"steps", view.steps},
            {"loss", view.loss},
            {"rate", view.rate},
            {"rate_unit", view.rate_unit},
            {"samples_per_s", view.samples_per_s},
            {"seconds_left", view.seconds_left},
            {"started", view.started_s},
            {"step_time", json_of(view.step_time)},
            {"checkpoint", nullptr},
            {"scheduler_restarts", view.scheduler_restarts},
            {"workers_joined", view.workers_joined},
            {"workers_lost", view.workers_lost},
            {"steps_done", view.steps_done},
            {"steps_done_s", view.steps_done_s},
            {"workers", Json::array()},
            {"loss_curve", Json::array()},
            {"events", Json::array()}};
  if (view.checkpoint) json["checkpoint"] = {{"step", view.checkpoint->step}, {"time", view.checkpoint->time_s}};
  for (const WorkerView& worker : view.workers) json["workers"].push_back(json_of(worker));
  for (const LossPoint& point : view.loss_curve) json["loss_curve"].push_back(Json::array({point.step, point.loss}));
  for (const TimedEvent& event : view.events) json["events"].push_back(json_of(event));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

RunView view_of_json(std::string_view text) {
  try {
    return view_of(Json::parse(text));
  } catch (const nlohmann::json::exception&) {
    fail(ErrorCode::kDataLoss, "not what a scheduler says of a run");
  } catch (const Error& error) {
    fail(ErrorCode::kDataLoss, "not what a scheduler says of a run: {}", error.what());
  } catch (const std::logic_error&) {  // numbers of a ballot
    fail(ErrorCode::kDataLoss, "not what a scheduler says of a run");
  }
}

}  // namespace convoy::scheduler
