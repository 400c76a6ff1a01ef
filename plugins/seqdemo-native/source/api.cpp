// What Python calls, by C's conventions. Handles are made and freed by the caller; arrays are the caller's.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <string>

#include "stepper.h"
#include "translator.h"

namespace {

thread_local std::string trouble;

// 0, or -1 with a message.
template <class Work>
int guarded(Work work) {
    try {
        return work();
    } catch (const std::exception& error) {
        trouble = error.what();
        return -1;
    }
}

const Kernels* kernels_of(const char* level) {
#ifdef WITH_X86
    if (!std::strcmp(level, "avx512")) return &avx512_kernels;
    if (!std::strcmp(level, "avx2")) return &avx2_kernels;
#endif
    return &plain_kernels;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

const char* seqdemo_error() { return trouble.c_str(); }

// Whether this processor, and its system, can run a level.
int seqdemo_supports(const char* level) {
#ifdef WITH_X86
    __builtin_cpu_init();
    if (!std::strcmp(level, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vnni");
    if (!std::strcmp(level, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return !std::strcmp(level, "plain");
}

// ---- weights ----------------------------------------------------------------------------------------------------

Model* seqdemo_model(const char* level, int kind, int integers, int hidden, int vocabulary, const float* table, int table_width) {
    auto* model = new Model;
    model->kernels = kernels_of(level);
    model->kind = static_cast<Kind>(kind);
    model->integers = integers;
    model->hidden = hidden;
    model->vocabulary = vocabulary;
    model->table = table;
    model->table_width = table_width;
    return model;
}

// Add a product: 'e' enters the first layer, 'r' is a layer's recurrent one, 'a' the one above it, 'l' the output layer.
int seqdemo_product(Model* model, char place, const float* weight, const float* bias, int outputs, int inputs) {
    return guarded([&] {
        const bool integers = model->integers;
        if (place == 'r') {
            model->recurrent.emplace_back(weight, bias, outputs, inputs, integers);
        } else if (place == 'a') {
            model->above.emplace_back(weight, bias, outputs, inputs, integers);
        } else {
            auto& one = place == 'e' ? model->enter : model->leave;
            one = std::make_unique<Product>(weight, bias, outputs, inputs, integers);
        }
        return 0;
    });
}

void seqdemo_model_free(Model* model) { delete model; }

// ---- steps ------------------------------------------------------------------------------------------------------

Stepper* seqdemo_stepper(const Model* model, int slots, int threads) {
    Stepper* made = nullptr;
    guarded([&] {
        made = new Stepper(*model, slots, threads);
        return 0;
    });
    return made;
}

void seqdemo_stepper_free(Stepper* stepper) { delete stepper; }

void seqdemo_put(Stepper* stepper, int slot, const float* state) { stepper->put(slot, state); }

void seqdemo_take(const Stepper* stepper, int slot, float* state) { stepper->take(slot, state); }

void seqdemo_step(Stepper* stepper, const int32_t* ids, const int32_t* slots, int count, float* logits) {
    stepper->step(ids, slots, count, logits);
}

void seqdemo_read(Stepper* stepper, int slot, const int32_t* ids, int count, float* logits) {
    stepper->read(slot, ids, count, logits);
}

int seqdemo_run(Stepper* stepper, const Draw* draws, int rows, int count, const int32_t* forbidden, int forbidden_count,
                const int32_t* ends, int ends_count, float* logits, const Drawn* drawn) {
    return guarded([&] {
        return stepper->run(draws, rows, count, {forbidden, forbidden + forbidden_count}, {ends, ends + ends_count}, logits, *drawn);
    });
}

int seqdemo_rewind(Stepper* stepper, int slot, int count) {
    return guarded([&] {
        stepper->rewind(slot, count);
        return 0;
    });
}

// ---- translation ------------------------------------------------------------------------------------------------

Translator* seqdemo_translator(const char* level, int integers, int threads, const float* embedding, int embedding_width,
                               const float* table, int table_width, const float* weigh, int compared) {
    Translator* made = nullptr;
    guarded([&] {
        auto found = std::make_unique<Translator>(kernels_of(level), integers, threads);
        found->embedding = embedding;
        found->embedding_width = embedding_width;
        found->decoder.table = table;
        found->decoder.table_width = table_width;
        if (weigh != nullptr) found->weigh.assign(weigh, weigh + compared);
        const float* weights = weigh != nullptr ? found->weigh.data() : nullptr;
        found->attention = {compared, 1.0f / std::sqrt((float)compared), weights};
        made = found.release();
        return 0;
    });
    return made;
}

void seqdemo_translator_free(Translator* translator) { delete translator; }

// Begin a network: 'e' is the encoder's next one, 'd' the decoder, 'r' the refiner. Then its layers, from below, one
// product of each kind: 'w' enters it (the decoder's first one may do without), 'u' is its recurrent one. Others are
// 'k' the keys', 'q' the queries', 'c' what combines, 'o' the output layer.
int seqdemo_translator_network(Translator* translator, char place, int kind) {
    return guarded([&] {
        if (place == 'e') translator->encoder.emplace_back();
        Network& network = place == 'e' ? translator->encoder.back() : place == 'd' ? translator->decoder : translator->refiner;
        network.kind = static_cast<Kind>(kind);
        translator->building = &network;
        return 0;
    });
}

int seqdemo_translator_product(Translator* translator, char place, const float* weight, const float* bias, int outputs, int inputs) {
    return guarded([&] {
        auto made = std::make_unique<Product>(weight, bias, outputs, inputs, translator->integers());
        if (place == 'w' || place == 'u') {
            auto& layers = translator->building->layers;
            if (layers.empty() || layers.back().ahead) layers.emplace_back();
            (place == 'w' ? layers.back().enter : layers.back().ahead) = std::move(made);
        } else {
            (place == 'k' ? translator->key : place == 'q' ? translator->query : place == 'c' ? translator->combine : translator->output) = std::move(made);
        }
        return 0;
    });
}

int seqdemo_encode(Translator* translator, const int32_t* ids, const int32_t* lengths, int count, int size, float* memory, float* keys) {
    return guarded([&] {
        translator->encode(ids, lengths, count, size, memory, keys);
        return 0;
    });
}

int seqdemo_advance(Translator* translator, const int32_t* ids, const int32_t* owners, int count, const Memory* memory,
                    const float* const* before, float* const* after, float* vectors, float* logits, float* weights) {
    return guarded([&] {
        translator->advance(ids, owners, count, *memory, before, after, vectors, logits, weights);
        return 0;
    });
}

int seqdemo_likeliest(Translator* translator, const float* logits, int64_t stride, int rows, const int32_t* banned,
                      int banned_count, int count, double* logprobs, int64_t* ids) {
    return guarded([&] {
        translator->likeliest(logits, stride, rows, banned, banned_count, count, logprobs, ids);
        return 0;
    });
}

// ---- parts, for tests -------------------------------------------------------------------------------------------

// y (rows, outputs) = x (rows, inputs) times a weight.
int seqdemo_try_product(const char* level, int integers, const float* weight, const float* bias, int outputs, int inputs,
                        const float* x, int rows, float* y) {
    return guarded([&] {
        const Kernels* kernels = kernels_of(level);
        const Product product(weight, bias, outputs, inputs, integers);
        const Matrix& matrix = product.matrix();
        std::vector<uint8_t> bytes((size_t)rows * matrix.depth);
        std::vector<float> found((size_t)rows * product.width());
        std::vector<Row> all(rows);
        for (int row = 0; row < rows; row++) {
            const float* from = x + (size_t)row * inputs;
            uint8_t* to = bytes.data() + (size_t)row * matrix.depth;
            const float scale = integers ? kernels->quantise(from, inputs, matrix.depth, to) : 1.0f;
            all[row] = {from, to, scale, found.data() + (size_t)row * product.width()};
        }
        kernels->product(matrix, 0, matrix.blocks, all.data(), rows);
        for (int row = 0; row < rows; row++)
            std::memcpy(y + (size_t)row * outputs, all[row].y, outputs * sizeof(float));
        return 0;
    });
}

// x (size) -> integers (size) and the scale.
float seqdemo_try_quantise(const char* level, const float* x, int size, int8_t* integers) {
    const int zero = std::strcmp(level, "avx512") ? 0 : 128;
    std::vector<uint8_t> bytes(size);
    const float scale = kernels_of(level)->quantise(x, size, size, bytes.data());
    for (int at = 0; at < size; at++) integers[at] = static_cast<int8_t>(bytes[at] - zero);
    return scale;
}

void seqdemo_try_tanh(const char* level, const float* x, int size, float* y) { kernels_of(level)->tanh(x, size, y); }

// Reads memory some times over, shared among threads as the weights of a step are.
int32_t seqdemo_try_read(const char* level, const int8_t* bytes, int64_t size, int threads, int times) {
    constexpr int PART = 1 << 15;
    struct Job {
        const Kernels* kernels;
        const int8_t* bytes;
        int64_t size;
        std::atomic<int32_t> sum;
    } job{kernels_of(level), bytes, size, {0}};
    Pool pool(threads);
    for (int time = 0; time < times; time++) {
        pool.start([](const void* context, int first, int last) {
            Job& job = *const_cast<Job*>(static_cast<const Job*>(context));
            const int64_t from = (int64_t)first * PART, to = std::min((int64_t)last * PART, job.size);
            job.sum ^= job.kernels->read(job.bytes + from, to - from);
        }, &job, (int)((size + PART - 1) / PART));
        pool.join();
    }
    return job.sum;
}

double seqdemo_try_uniform(uint64_t seed, uint64_t position) { return uniform(seed, position); }

}  // extern "C"
#pragma GCC visibility pop
