// cajal sync: hands over to the program cajal-sync beside this one.
#pragma once

namespace cajal::cli {

/// `arguments` are main's, with "sync" as the second. Comes back only when the program is not
/// there.
int run_sync(char** arguments);

}  // namespace cajal::cli
