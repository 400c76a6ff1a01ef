// A translation head: sources are read and targets written, many at once.
//
// Shape letters: B sources, S source length, n rows, E embedding, M memory, A attention, H hidden, V vocabulary.

#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "model.h"
#include "pool.h"

// A recurrent model in one direction.
struct Network {
    struct Layer {
        std::unique_ptr<Product> enter;  // W x + b; of the first layer, none where a table has it for every token
        std::unique_ptr<Product> ahead;  // U h + d
        int hidden() const { return ahead->matrix().inputs; }
    };
    Kind kind = LSTM;
    std::vector<Layer> layers;
    const float* table = nullptr;  // (V, table_width), the caller's
    int table_width = 0;

    int entries() const { return kind == LSTM ? 2 : 1; }
    int output() const { return layers.back().hidden(); }
};

// What sources were made into, of C of them; the caller's.
struct Memory {
    const float* memory;     // (C, S, M)
    const float* keys;       // (C, S, A)
    const int32_t* lengths;  // (C), at least 1 each
    int32_t size;            // S
};

class Translator {
public:
    Translator(const Kernels* kernels, bool integers, int threads) : kernels_(kernels), integers_(integers), pool_(threads) {}

    // The parts, before anything is read. Layers of the encoder are two networks each, ahead and back.
    std::vector<Network> encoder;
    Network decoder, refiner;
    std::unique_ptr<Product> key, query, combine, output;
    const float* embedding = nullptr;  // (V, embedding_width), of source tokens, the caller's
    int embedding_width = 0;
    Attention attention{};
    std::vector<float> weigh;     // what attention refers to
    Network* building = nullptr;  // the one whose layers come next

    const Kernels* kernels() const { return kernels_; }
    bool integers() const { return integers_; }

    // Read sources (B, S): memory (B, S, M) and keys (B, S, A), zero beyond their lengths.
    void encode(const int32_t* ids, const int32_t* lengths, int count, int size, float* memory, float* keys);

    // Read one token in each row, which looks at its owner's memory. Entries before and after: (n, H) each, of the
    // decoder's layers and then the refiner's. Gives vectors (n, E), logits (n, output's width) and weights (n, S).
    void advance(const int32_t* ids, const int32_t* owners, int count, const Memory& memory, const float* const* before,
                 float* const* after, float* vectors, float* logits, float* weights);

    // The likeliest tokens of rows of logits, which lie `stride` apart: log-probabilities (n, count), the largest first,
    // NaN in rows that are no distribution, and ids. Banned ones keep their probability, and are left out.
    void likeliest(const float* logits, int64_t stride, int rows, const int32_t* banned, int banned_count, int count,
                   double* logprobs, int64_t* ids);

private:
    // Call work(row) for each row, by several threads where that pays.
    template <class Work>
    void each(int count, const Work& work);
    // Multiply rows 0 … count - 1 of rows_, which say where their inputs and outputs lie.
    void multiply(const Product& product, int count);
    // One direction of a layer over all places of all sources; the outputs of a place lie `stride` after the one before.
    void sequence(const Network& network, std::vector<const float*> x, bool back, float* y, size_t stride);
    // One token: inputs by row -> entries after; gives where the output (n, H) lies.
    const float* step(const Network& network, const std::vector<const float*>& x, bool folded, const float* const* before,
                      float* const* after);

    const Kernels* kernels_;
    bool integers_;
    std::mutex lock_;  // what follows is of one call
    std::vector<Row> rows_;
    std::vector<uint8_t> bytes_;
    std::vector<float> made_, ahead_, h_, c_, queries_, joined_, between_[2], passed_[2];
    std::vector<int> first_, length_, active_;
    std::vector<const float*> x_;
    std::vector<uint8_t> banned_;
    Pool pool_;  // last, so that its threads end first
};
