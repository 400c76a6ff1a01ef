// See level.inc.
#define LEVEL plain
#define KERNELS plain_kernels
#include "level.inc"
