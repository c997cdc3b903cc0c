// libconvoy_mpi.so: the only file that knows MPI.
#include "distributed/mpi/module.h"

#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace convoy::distributed {

struct MpiBatch {
  struct Expected {
    std::int32_t peer;
    int bytes;  // -1: sent
  };
  std::vector<MPI_Request> requests;
  std::vector<MPI_Status> statuses;
  std::vector<Expected> expected;
};

namespace {

constexpr std::size_t kPiece = std::size_t{1} << 30;  // MPI counts with int
constexpr int kAbortTag = 1;

MPI_Comm data = MPI_COMM_NULL;     // of all processes
MPI_Comm control = MPI_COMM_NULL;  // where aborts are told
MPI_Request abort_request = MPI_REQUEST_NULL;
std::int32_t gave_up = -1;

int refuse(char* text, const char* what, int error) {
  char reason[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(error, reason, &length);
  std::replace(reason, reason + length, '\n', ' ');
  std::snprintf(text, kMpiText, "%s: %s", what, reason);
  return 1;
}

const char* library() {
  static const std::string version = [] {
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
    int length = 0;
    MPI_Get_library_version(text, &length);
    const std::string whole(text, static_cast<std::size_t>(length));
    return whole.substr(0, whole.find_first_of(",\n"));
  }();
  return version.c_str();
}

const char* obstacle([[maybe_unused]] const char* (*variable)(void*, const char*), [[maybe_unused]] void* context) {
#ifdef OPEN_MPI
  const bool ours = variable(context, "OMPI_COMM_WORLD_SIZE") != nullptr || variable(context, "PMIX_RANK") != nullptr;
  if (!ours && variable(context, "SLURM_STEP_ID") != nullptr)
    return "srun started this process without PMIx, which Open MPI needs: expected srun --mpi=pmix, or mpirun";
#endif
  return "";
}

int start(std::int32_t* rank, std::int32_t* size, char* text) {
  int initialized = 0;
  MPI_Initialized(&initialized);
  int level = MPI_THREAD_SINGLE;
  if (!initialized) {
    if (const int error = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level); error != MPI_SUCCESS)
      return refuse(text, "MPI_Init_thread", error);
  } else {
    MPI_Query_thread(&level);
  }
  // One thread makes every call, and it is the one that initialised MPI.
  if (level < (initialized ? MPI_THREAD_SERIALIZED : MPI_THREAD_FUNNELED)) {
    std::snprintf(text, kMpiText, "%s offers no thread but the main one the use of MPI", library());
    return 1;
  }
  for (MPI_Comm* communicator : {&data, &control}) {
    if (const int error = MPI_Comm_dup(MPI_COMM_WORLD, communicator); error != MPI_SUCCESS)
      return refuse(text, "MPI_Comm_dup", error);
    MPI_Comm_set_errhandler(*communicator, MPI_ERRORS_RETURN);
  }
  MPI_Comm_rank(data, rank);
  MPI_Comm_size(data, size);
  if (const int error = MPI_Irecv(nullptr, 0, MPI_BYTE, MPI_ANY_SOURCE, kAbortTag, control, &abort_request);
      error != MPI_SUCCESS)
    return refuse(text, "MPI_Irecv", error);
  return 0;
}

int stop(char* text) {
  if (abort_request != MPI_REQUEST_NULL) {
    MPI_Cancel(&abort_request);
    MPI_Wait(&abort_request, MPI_STATUS_IGNORE);
  }
  const int error = MPI_Finalize();
  return error == MPI_SUCCESS ? 0 : refuse(text, "MPI_Finalize", error);
}

MpiBatch* open() { return new MpiBatch; }

int post(MpiBatch* batch, const MpiTransfer* transfer, char* text) {
  for (std::size_t done = 0; done < transfer->bytes; done += kPiece) {
    const int bytes = static_cast<int>(std::min(kPiece, transfer->bytes - done));
    MPI_Request request = MPI_REQUEST_NULL;
    const bool sends = transfer->send != nullptr;
    const int error = sends ? MPI_Isend(static_cast<const char*>(transfer->send) + done, bytes, MPI_BYTE,
                                        transfer->peer, transfer->tag, data, &request)
                            : MPI_Irecv(static_cast<char*>(transfer->receive) + done, bytes, MPI_BYTE, transfer->peer,
                                        transfer->tag, data, &request);
    if (error != MPI_SUCCESS) return refuse(text, sends ? "MPI_Isend" : "MPI_Irecv", error);
    batch->requests.push_back(request);
    batch->expected.push_back({transfer->peer, sends ? -1 : bytes});
  }
  return 0;
}

int test(MpiBatch* batch, int* done, char* text) {
  batch->statuses.resize(batch->requests.size());
  const int error =
      MPI_Testall(static_cast<int>(batch->requests.size()), batch->requests.data(), done, batch->statuses.data());
  if (error != MPI_SUCCESS && error != MPI_ERR_IN_STATUS) return refuse(text, "MPI_Testall", error);
  if (error == MPI_SUCCESS && *done == 0) return 0;
  for (std::size_t i = 0; i < batch->requests.size(); ++i) {
    const auto [peer, bytes] = batch->expected[i];
    if (error == MPI_ERR_IN_STATUS) {
      const int of_request = batch->statuses[i].MPI_ERROR;
      if (of_request == MPI_SUCCESS || of_request == MPI_ERR_PENDING) continue;
      const std::string what = (bytes < 0 ? "sending to rank " : "receiving from rank ") + std::to_string(peer);
      return refuse(text, what.c_str(), of_request);
    }
    int got = 0;
    if (bytes >= 0) MPI_Get_count(&batch->statuses[i], MPI_BYTE, &got);
    if (bytes >= 0 && got != bytes) {
      std::snprintf(text, kMpiText, "rank %d sent %d bytes where %d were expected", peer, got, bytes);
      return 1;
    }
  }
  return 0;
}

void close(MpiBatch* batch) {
  for (MPI_Request& request : batch->requests) {
    if (request == MPI_REQUEST_NULL) continue;
    // Not waited for: MPI makes no progress from here on, so nothing touches the buffers any more.
    MPI_Cancel(&request);
    MPI_Request_free(&request);
  }
  delete batch;
}

void tell_abort() {
  int rank = 0;
  int size = 0;
  MPI_Comm_rank(control, &rank);
  MPI_Comm_size(control, &size);
  for (int peer = 0; peer < size; ++peer) {
    if (peer == rank) continue;
    MPI_Request request = MPI_REQUEST_NULL;
    if (MPI_Isend(nullptr, 0, MPI_BYTE, peer, kAbortTag, control, &request) == MPI_SUCCESS) MPI_Request_free(&request);
  }
}

std::int32_t aborted_peer() {
  if (gave_up >= 0 || abort_request == MPI_REQUEST_NULL) return gave_up;
  int done = 0;
  MPI_Status status;
  if (MPI_Test(&abort_request, &done, &status) == MPI_SUCCESS && done != 0) gave_up = status.MPI_SOURCE;
  return gave_up;
}

constexpr MpiModule kModule{.version = kMpiModuleVersion,
                            .library = library,
                            .obstacle = obstacle,
                            .start = start,
                            .stop = stop,
                            .open = open,
                            .post = post,
                            .test = test,
                            .close = close,
                            .tell_abort = tell_abort,
                            .aborted_peer = aborted_peer};

}  // namespace

extern "C" const MpiModule* convoy_mpi_module() { return &kModule; }

}  // namespace convoy::distributed
