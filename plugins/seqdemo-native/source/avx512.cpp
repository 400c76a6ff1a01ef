// See level.inc.
#define LEVEL avx512
#define KERNELS avx512_kernels
#include "level.inc"
