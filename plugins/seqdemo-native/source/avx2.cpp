// See level.inc.
#define LEVEL avx2
#define KERNELS avx2_kernels
#include "level.inc"
