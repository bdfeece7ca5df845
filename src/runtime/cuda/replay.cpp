#include "runtime/cuda/replay.h"

#include <nvtx3/nvtx3.hpp>

#include "runtime/cuda/schedule.h"

namespace cajal {
namespace {

void follow(cudaStream_t stream, cudaEvent_t event) {
  check_cuda(cudaStreamWaitEvent(stream, event), "cudaStreamWaitEvent");
}

CudaEvent mark(cudaStream_t stream) {
  CudaEvent event = make_event(EventUse::order);
  check_cuda(cudaEventRecord(event.get(), stream), "cudaEventRecord");
  return event;
}

/// Lets the other lanes take part in the critical lane's capture.
void fork_lanes(const CudaContext& context) {
  const CudaEvent begun = mark(context.lane_stream(kCriticalLane));
  for (std::size_t lane = 0; lane < kCudaLanes; ++lane) {
    if (lane != kCriticalLane) follow(context.lane_stream(lane), begun.get());
  }
}

void join_lanes(const CudaContext& context) {
  for (std::size_t lane = 0; lane < kCudaLanes; ++lane) {
    if (lane == kCriticalLane) continue;
    const CudaEvent done = mark(context.lane_stream(lane));
    follow(context.lane_stream(kCriticalLane), done.get());
  }
}

void launch_all(CudaContext& context, const std::vector<Command>& commands,
                const std::vector<ScheduledCommand>& places) {
  std::vector<CudaEvent> events(commands.size());
  fork_lanes(context);
  for (std::size_t i = 0; i < commands.size(); ++i) {
    const ScheduledCommand& place = places[i];
    const cudaStream_t stream = context.lane_stream(place.lane);
    for (const std::size_t earlier : place.waits_for) follow(stream, events[earlier].get());
    launch_command(context, commands[i], place.lane);
    if (place.awaited) events[i] = mark(stream);
  }
  join_lanes(context);
}

}  // namespace

Replay::Replay(CudaContext& context, const CommandBuffer& buffer) {
  const std::vector<ScheduledCommand> places = schedule(buffer.commands());
  context.prepare_lanes(buffer.commands(), places);
  const cudaStream_t stream = context.lane_stream(kCriticalLane);
  executable_ = capture_graph(stream, [&] { launch_all(context, buffer.commands(), places); });
  check_cuda(cudaGraphUpload(executable_.get(), stream), "cudaGraphUpload");
  faults_ = context.take_faults();
}

void Replay::launch(cudaStream_t stream) const {
  check_cuda(cudaGraphLaunch(executable_.get(), stream), "cudaGraphLaunch");
}

void launch_command(CudaContext& context, const Command& command, std::size_t lane) {
  const nvtx3::scoped_range range(command.operation);
  context.begin_command(command.operation, lane);
  command.kernel(context);
}

}  // namespace cajal
