// From logits to the next token: the rules of seqdemo.decoding.sampling, in the same order.

#pragma once

#include <cstdint>
#include <vector>

#include "kernels.h"

struct Rules {
    double temperature, top_p, min_p, penalty;
    int32_t top_k, window, alternatives;
};

// A token drawn. The likeliest tokens, best first, then the chosen one if it is not among them, go to the arrays.
struct Pick {
    int32_t id, reported;
    double logprob, entropy;
    int32_t* ids;
    double* raw;
    double* ruled;
};

// A number in [0, 1) with 53 random bits: Philox4x64-10 (Salmon et al. 2011) keyed by the seed, counting positions.
double uniform(uint64_t seed, uint64_t position);

class Sampler {
public:
    Sampler(const Kernels& kernels, int vocabulary);

    // Draw a token; false where nothing can be drawn.
    //
    // logits (V); recent: ids read and written, oldest first; forbidden: ids never chosen.
    bool draw(const float* logits, const Rules& rules, double number, const std::vector<int32_t>& recent,
              const std::vector<int32_t>& forbidden, Pick& pick);

private:
    // Apply the repetition penalty; scores_ are the logits after it.
    void penalise(const Rules& rules, const std::vector<int32_t>& recent);
    // Keep the k largest of the keys, ascending; among equals the lower one wins. Keys may be of either size.
    void keep_largest(int k, bool penalised);
    // Set the weights to 0 that the fewest largest ones of at least this sum do not include.
    void keep_nucleus(double enough);
    void report(const Rules& rules, const Facts& facts, Pick& pick);

    const Kernels& kernels_;
    int size_;
    int kept_ = 0;  // of columns_ and weights_
    std::vector<float> odds_;
    std::vector<int32_t> keys_, narrow_;
    std::vector<double> scores_, weights_;
    std::vector<int64_t> wide_;
    std::vector<int32_t> columns_, order_;
    std::vector<uint32_t> seen_;
    uint32_t mark_ = 0;
};
