#include "runtime/cuda/replay.h"

#include <nvtx3/nvtx3.hpp>

#include "runtime/cuda/schedule.h"

namespace cajal {
namespace {

/// Capture of the critical lane's stream; other lanes join it by events.
class Capture {
 public:
  explicit Capture(CudaContext& context) : context_(context) {
    check_cuda(
        cudaStreamBeginCapture(context_.lane_stream(kCriticalLane), cudaStreamCaptureModeRelaxed),
        "cudaStreamBeginCapture");
  }
  ~Capture() {
    if (!open_) return;
    cudaGraph_t graph = nullptr;
    static_cast<void>(cudaStreamEndCapture(context_.lane_stream(kCriticalLane), &graph));
    const CudaGraph dropped(graph);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  void record(const std::vector<Command>& commands) {
    const std::vector<ScheduledCommand> places = schedule(commands);
    std::vector<CudaEvent> events(commands.size());
    fork();
    for (std::size_t i = 0; i < commands.size(); ++i) {
      const ScheduledCommand& place = places[i];
      const cudaStream_t stream = context_.lane_stream(place.lane);
      for (const std::size_t earlier : place.waits_for) follow(stream, events[earlier].get());
      launch_command(context_, commands[i], place.lane);
      if (place.awaited) events[i] = mark(stream);
    }
    join();
  }

  CudaGraph end() {
    cudaGraph_t graph = nullptr;
    open_ = false;
    check_cuda(cudaStreamEndCapture(context_.lane_stream(kCriticalLane), &graph),
               "cudaStreamEndCapture");
    return CudaGraph(graph);
  }

 private:
  static void follow(cudaStream_t stream, cudaEvent_t event) {
    check_cuda(cudaStreamWaitEvent(stream, event), "cudaStreamWaitEvent");
  }
  CudaEvent mark(cudaStream_t stream) {
    CudaEvent event = make_event(EventUse::order);
    check_cuda(cudaEventRecord(event.get(), stream), "cudaEventRecord");
    return event;
  }
  void fork() {
    const CudaEvent begun = mark(context_.lane_stream(kCriticalLane));
    for (std::size_t lane = 0; lane < kCudaLanes; ++lane) {
      if (lane != kCriticalLane) follow(context_.lane_stream(lane), begun.get());
    }
  }
  void join() {
    for (std::size_t lane = 0; lane < kCudaLanes; ++lane) {
      if (lane == kCriticalLane) continue;
      const CudaEvent done = mark(context_.lane_stream(lane));
      follow(context_.lane_stream(kCriticalLane), done.get());
    }
  }

  CudaContext& context_;
  bool open_ = true;
};

}  // namespace

Replay::Replay(CudaContext& context, const CommandBuffer& buffer) {
  context.prepare_lanes();
  Capture capture(context);
  capture.record(buffer.commands());
  const CudaGraph graph = capture.end();
  cudaGraphExec_t executable = nullptr;
  check_cuda(
      cudaGraphInstantiate(&executable, graph.get(), cudaGraphInstantiateFlagUseNodePriority),
      "cudaGraphInstantiate");
  executable_.reset(executable);
  check_cuda(cudaGraphUpload(executable, context.lane_stream(kCriticalLane)), "cudaGraphUpload");
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
