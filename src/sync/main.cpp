// cajal-sync: finds blocking GPU waits in host code and mends those that nothing needs.
#include "sync/app.h"

int main(int argc, char** argv) { return cajal::sync::run({argv, static_cast<std::size_t>(argc)}); }
