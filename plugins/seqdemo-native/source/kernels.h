// What is compiled once for each level of the processor, and the data it works on.
//
// Shape letters: N outputs, K inputs, H hidden, V vocabulary.

#pragma once

#include <cstdint>

// Outputs that are computed together. Weights lie in blocks of so many outputs: for each K (fp32) or each four K
// (int8), the values of all 64 side by side, so that a block is read from beginning to end.
constexpr int BLOCK = 64;

// How many weights can be put in order.
constexpr int ARRANGED = 128;

// y = W x + b, prepared.
struct Matrix {
    int outputs = 0, inputs = 0;
    int blocks = 0;  // of BLOCK outputs
    int depth = 0;   // inputs, rounded up to fours
    bool integers = false;
    const float* floats = nullptr;      // (blocks, depth, BLOCK)
    const int8_t* bytes = nullptr;      // (blocks, depth / 4, BLOCK, 4), in -127 … 127
    const float* scale = nullptr;       // (blocks * BLOCK), int8 only
    const float* bias = nullptr;        // (blocks * BLOCK)
    const int32_t* offset = nullptr;    // (blocks * BLOCK): -128 times the sum of an output's integers
};

// One row of inputs and where its outputs go.
struct Row {
    const float* floats;   // (inputs)
    const uint8_t* bytes;  // (depth), as `quantise` of the same level wrote them
    float scale;           // what one unit of bytes stands for
    float* y;              // (blocks * BLOCK)
};

enum Kind { LSTM = 0, GRU = 1, RNN_TANH = 2, RNN_RELU = 3 };

// Sums over the model's distribution.
struct Facts {
    float top;        // largest logit
    bool sound;       // no NaN, no +inf, not all -inf
    double total;     // of exp(logit - top)
    double mean;      // of exp(logit - top) * (logit - top)
};

// How a query is compared with keys: (q . k) * scale, or weigh . tanh(q + k) where there is a weigh.
struct Attention {
    int size;            // of queries and keys
    float scale;
    const float* weigh;  // (size)
};

struct Kernels {
    const char* name;
    // Blocks first … last - 1 of a product, for any number of rows. A row's bits depend on no other row.
    void (*product)(const Matrix& matrix, int first, int last, const Row* rows, int count);
    // (H) -> integers in -127 … 127; the last of `depth` are padding. Gives the scale, NaN if a value is NaN.
    float (*quantise)(const float* x, int size, int depth, uint8_t* bytes);
    // One layer: x = W x + b, u = U h + d, torch's order of gates; entries are replaced.
    void (*cell)(Kind kind, int hidden, const float* x, const float* u, float* h, float* c);
    // odds = exp(logit - top), keys = logits as integers of the same order.
    Facts (*facts)(const float* logits, int size, float* odds, int32_t* keys);
    // weights = exp((score - best) / temperature).
    void (*weigh)(const double* scores, int size, double best, double temperature, double* weights);
    // A bar that k keys reach, and more only if they equal it.
    int32_t (*bar32)(const int32_t* keys, int size, int k);
    int64_t (*bar64)(const int64_t* keys, int size, int k);
    // Places, ascending, of keys that reach a bar; gives how many.
    int (*select32)(const int32_t* keys, int size, int32_t bar, int32_t* places);
    int (*select64)(const int64_t* keys, int size, int64_t bar, int32_t* places);
    // Puts places of weights in order, the largest weight first, equal ones as they came; at most ARRANGED.
    void (*arrange)(const double* weights, int32_t* places, int count);
    // The largest weight (as its bits, none being negative) such that the weights that reach it make up `enough`.
    int64_t (*share)(const double* weights, int size, double enough);
    void (*tanh)(const float* x, int size, float* y);
    // One query (size) over keys (count, size) and a memory (count, width): weights (count) and their mean (width).
    void (*attend)(const Attention& attention, const float* query, const float* keys, const float* memory, int count,
                   int width, float* weights, float* mean);
    // Logits (size) -> the log of the sum of exp(logit - top), NaN where they are no distribution; values and ids of the
    // `count` largest, the largest first, of equal ones the first, without those marked as banned (size). -inf fills up.
    double (*likeliest)(const float* logits, int size, const uint8_t* banned, int count, float* top, float* values, int64_t* ids);
    // Reads memory, in pieces of 256 bytes, as fast as it comes.
    int32_t (*read)(const int8_t* bytes, int64_t size);
};

extern const Kernels plain_kernels;
#ifdef WITH_X86
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
#endif
