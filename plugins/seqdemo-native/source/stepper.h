// Slots that hold states, steps of several of them at once, and runs of several tokens.

#pragma once

#include <memory>
#include <vector>

#include "model.h"
#include "pool.h"
#include "sampler.h"

// What a run draws with, for one row.
struct Draw {
    int32_t slot;
    Rules rules;
    uint64_t seed, position;
    const int32_t* recent;  // ids read and written, oldest first
    int32_t recent_count;
};

// What a run gives: `count` tokens for each of `rows` rows, rows within tokens; the arrays are the caller's. Of the
// alternatives there are `room` places each.
struct Drawn {
    int32_t* ids;
    double* logprobs;
    double* entropies;
    int32_t room;
    int32_t* reported;
    int32_t* alternatives;
    double* raw;
    double* ruled;
};

class Stepper {
public:
    Stepper(const Model& model, int slots, int threads);

    // State entries, (layers, entries, H).
    void put(int slot, const float* state);
    void take(int slot, float* state) const;

    // Read one token in each of some different slots; logits (count, V).
    void step(const int32_t* ids, const int32_t* slots, int count, float* logits);

    // Read tokens one after another in one slot; logits (V) after the last.
    void read(int slot, const int32_t* ids, int count, float* logits);

    // Draw and read up to `count` tokens in each row; `logits` (rows, V) before and after. Ends early, for all rows,
    // after a token of `ends`, and where nothing can be drawn for a row. Gives how many were read.
    int run(const Draw* draws, int rows, int count, const std::vector<int32_t>& forbidden,
            const std::vector<int32_t>& ends, float* logits, const Drawn& drawn);

    // Put a slot of the last run back to where it was after `count` of its tokens.
    void rewind(int slot, int count);

private:
    struct Slot {
        std::vector<float> state;  // (layers, entries, H)
        std::vector<float> ahead;  // (layers, gates * H in blocks): U h + d, for the step to come
    };
    // A product within a job; `end` counts blocks from the beginning of the job.
    struct Part {
        const Matrix* matrix;
        const Row* rows;
        int count, end;
    };
    // Products that are computed together.
    struct Job {
        const Kernels* kernels;
        std::vector<Part> parts;
        static void work(const void* job, int first, int last);
    };

    float* entry(int slot, int layer, int which);
    float* ahead(int slot, int layer);
    // Multiply rows 0 … count - 1 of a place; the outputs of a row lie `stride` after those of the row before.
    void multiply(const Product& product, int place, int count, float* y, size_t stride);
    // Rows 0 … count - 1 of a place, as rows of a product whose outputs lie `stride` after those of the row before.
    void place_rows(int place, int count, float* y, size_t stride);
    // Whether the output's weights are no more than one thread's part of theirs and the recurrent ones.
    bool output_is_a_share() const;
    // Multiply rows that say where their inputs and outputs lie.
    void compute(const Product& product, const Row* rows, int count);
    // Take values in as a row of a place.
    void feed(int place, int row, const float* x, int size);
    // Multiply the layers' outputs by their recurrent weights; finish() waits for it.
    void start_ahead(const int32_t* slots, int count);
    void finish() { pool_.join(); }
    // One row's cell in a layer, its output taken in.
    void cell(int layer, int slot, int row, const float* x);
    // Read some tokens layer by layer, with the bits of steps; logits of the last where they are wanted.
    void read_piece(int slot, const int32_t* ids, int count, bool output);
    // All of a step but what start_ahead does, which is begun; logits only where they are wanted.
    void forward(const int32_t* ids, const int32_t* slots, int count, bool output = true);

    const Model& model_;
    std::vector<Slot> slots_;
    Sampler sampler_;
    // Inputs by place (each layer's output, the embedding, what the projection gives) and row.
    size_t depth_;
    std::vector<uint8_t> bytes_;
    std::vector<Row> inputs_;
    std::vector<float> x_, logits_;   // (slots, width_), (slots, logits_width_)
    size_t width_, logits_width_;
    std::vector<Row> rows_, ahead_rows_;
    // Of a prompt, by token: a layer's outputs, what comes of them, and both as inputs of a product.
    std::vector<float> passed_, passed_x_;
    std::vector<uint8_t> passed_bytes_;
    std::vector<Row> passed_rows_;
    Job job_, ahead_job_;
    // Whether one thread computes the output while the others begin what is ahead: they need not wait for it then.
    bool output_beside_;
    // The last run: where it began, and what each row read.
    std::vector<int32_t> ran_;
    std::vector<Slot> before_;
    std::vector<std::vector<int32_t>> read_;
    Pool pool_;  // last, so that its threads end first
};
