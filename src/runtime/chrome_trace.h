// Spans as Chrome trace JSON, which Perfetto opens.
#pragma once

#include <iosfwd>
#include <vector>

#include "cajal/timeline.h"

namespace cajal {

/// "Trace Event Format" (Google, 2016): complete events, flows and metadata, in microseconds since
/// the first event.
void write_chrome_trace(std::ostream& out, const std::vector<SubmissionSpan>& submissions,
                        const std::vector<WaitSpan>& waits,
                        const std::vector<BackgroundSpan>& background);

}  // namespace cajal
