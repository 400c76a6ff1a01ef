#include "translator.h"

#include <algorithm>
#include <cstring>

namespace {

constexpr int ROWS_WORTH_SHARING = 4;  // fewer take less than handing them out

// Room for `count` values, whatever they are.
template <class T>
T* room(std::vector<T>& values, size_t count) {
    if (values.size() < count) values.resize(count);
    return values.data();
}

}  // namespace

template <class Work>
void Translator::each(int count, const Work& work) {
    if (count < ROWS_WORTH_SHARING || pool_.threads() == 1) {
        for (int row = 0; row < count; row++) work(row);
        return;
    }
    pool_.start([](const void* context, int first, int last) {
        for (int row = first; row < last; row++) (*static_cast<const Work*>(context))(row);
    }, &work, count);
    pool_.join();
}

void Translator::multiply(const Product& product, int count) {
    const Matrix& matrix = product.matrix();
    if (integers_) {
        uint8_t* bytes = room(bytes_, (size_t)count * matrix.depth);
        each(count, [&](int row) {
            Row& one = rows_[row];
            uint8_t* own = bytes + (size_t)row * matrix.depth;
            one.scale = kernels_->quantise(one.floats, matrix.inputs, matrix.depth, own);
            one.bytes = own;
        });
    }
    struct Job {
        const Kernels* kernels;
        const Matrix* matrix;
        const Row* rows;
        int count;
    } job{kernels_, &matrix, rows_.data(), count};
    pool_.start([](const void* context, int first, int last) {
        const Job& job = *static_cast<const Job*>(context);
        job.kernels->product(*job.matrix, first, last, job.rows, job.count);
    }, &job, matrix.blocks);
    pool_.join();
}

// ---- sources ----------------------------------------------------------------------------------------------------

void Translator::encode(const int32_t* ids, const int32_t* lengths, int count, int size, float* memory, float* keys) {
    const std::lock_guard<std::mutex> guard(lock_);
    first_.resize(count);
    length_.assign(lengths, lengths + count);
    // Places of all sources, one after another: nothing is computed for what only fills rows up.
    std::vector<const float*> x;
    for (int row = 0; row < count; row++) {
        first_[row] = (int)x.size();
        for (int place = 0; place < lengths[row]; place++)
            x.push_back(embedding + (size_t)ids[(size_t)row * size + place] * embedding_width);
    }
    const size_t total = x.size();
    int width = embedding_width;
    for (size_t layer = 0; layer < encoder.size(); layer += 2) {
        const Network &ahead = encoder[layer], &back = encoder[layer + 1];
        width = ahead.output() + back.output();
        float* y = room(passed_[layer / 2 % 2], total * width);
        sequence(ahead, x, false, y, width);
        sequence(back, x, true, y + ahead.output(), width);
        for (size_t place = 0; place < total; place++) x[place] = y + place * width;
    }
    const int compared = attention.size;
    float* found = room(made_, total * key->width());
    rows_.resize(std::max(rows_.size(), total));
    for (size_t place = 0; place < total; place++) rows_[place] = {x[place], nullptr, 1.0f, found + place * key->width()};
    multiply(*key, (int)total);
    std::memset(memory, 0, (size_t)count * size * width * sizeof(float));
    std::memset(keys, 0, (size_t)count * size * compared * sizeof(float));
    for (int row = 0; row < count; row++)
        for (int place = 0; place < lengths[row]; place++) {
            const size_t to = (size_t)row * size + place, from = first_[row] + place;
            std::copy(x[from], x[from] + width, memory + to * width);
            std::copy(rows_[from].y, rows_[from].y + compared, keys + to * compared);
        }
}

void Translator::sequence(const Network& network, std::vector<const float*> x, bool back, float* y, size_t stride) {
    const int total = (int)x.size(), count = (int)length_.size();
    const int longest = *std::max_element(length_.begin(), length_.end());
    rows_.resize(std::max(rows_.size(), x.size()));
    for (size_t k = 0; k < network.layers.size(); k++) {
        const Network::Layer& layer = network.layers[k];
        const bool top = k + 1 == network.layers.size();
        const int hidden = layer.hidden(), wide = layer.enter->width(), beside = layer.ahead->width();
        const size_t apart = top ? stride : hidden;
        float* to = top ? y : room(between_[k % 2], (size_t)total * hidden);
        float* made = room(made_, (size_t)total * wide);
        for (int place = 0; place < total; place++) rows_[place] = {x[place], nullptr, 1.0f, made + (size_t)place * wide};
        multiply(*layer.enter, total);
        h_.assign((size_t)count * hidden, 0.0f);
        c_.assign((size_t)count * hidden, 0.0f);
        float* ahead = room(ahead_, (size_t)count * beside);
        for (int step = 0; step < longest; step++) {
            active_.clear();
            for (int row = 0; row < count; row++)
                if (step < length_[row]) active_.push_back(row);
            const int left = (int)active_.size();
            for (int at = 0; at < left; at++)
                rows_[at] = {h_.data() + (size_t)active_[at] * hidden, nullptr, 1.0f, ahead + (size_t)at * beside};
            multiply(*layer.ahead, left);
            each(left, [&](int at) {
                const int row = active_[at];
                const size_t place = first_[row] + (back ? length_[row] - 1 - step : step);
                float* h = h_.data() + (size_t)row * hidden;
                kernels_->cell(network.kind, hidden, made + place * wide, rows_[at].y, h, c_.data() + (size_t)row * hidden);
                std::copy(h, h + hidden, to + place * apart);
            });
        }
        for (int place = 0; place < total; place++) x[place] = to + place * apart;
    }
}

// ---- targets ----------------------------------------------------------------------------------------------------

const float* Translator::step(const Network& network, const std::vector<const float*>& x, bool folded,
                              const float* const* before, float* const* after) {
    const int count = (int)x.size();
    const float* below = nullptr;
    for (size_t k = 0; k < network.layers.size(); k++) {
        const Network::Layer& layer = network.layers[k];
        const int hidden = layer.hidden(), beside = layer.ahead->width();
        const int wide = k || !folded ? layer.enter->width() : 0;
        const float* const* had = before + k * network.entries();
        float* const* has = after + k * network.entries();
        float* ahead = room(ahead_, (size_t)count * beside);
        for (int row = 0; row < count; row++)
            rows_[row] = {had[0] + (size_t)row * hidden, nullptr, 1.0f, ahead + (size_t)row * beside};
        multiply(*layer.ahead, count);
        float* made = room(made_, (size_t)count * wide);
        if (wide) {
            const int given = layer.enter->matrix().inputs;
            for (int row = 0; row < count; row++)
                rows_[row] = {k ? below + (size_t)row * given : x[row], nullptr, 1.0f, made + (size_t)row * wide};
            multiply(*layer.enter, count);
        }
        each(count, [&](int row) {
            const size_t at = (size_t)row * hidden;
            for (int entry = 0; entry < network.entries(); entry++)
                std::copy(had[entry] + at, had[entry] + at + hidden, has[entry] + at);
            kernels_->cell(network.kind, hidden, wide ? made + (size_t)row * wide : x[row], ahead + (size_t)row * beside,
                           has[0] + at, network.entries() > 1 ? has[1] + at : nullptr);
        });
        below = has[0];
    }
    return below;
}

void Translator::advance(const int32_t* ids, const int32_t* owners, int count, const Memory& memory,
                         const float* const* before, float* const* after, float* vectors, float* logits, float* weights) {
    const std::lock_guard<std::mutex> guard(lock_);
    rows_.resize(std::max(rows_.size(), (size_t)count));
    x_.resize(count);
    for (int row = 0; row < count; row++) x_[row] = decoder.table + (size_t)ids[row] * decoder.table_width;
    const bool folded = decoder.layers[0].enter == nullptr;
    const float* y = step(decoder, x_, folded, before, after);

    const int read = decoder.output(), asked = query->width();
    float* queries = room(queries_, (size_t)count * asked);
    for (int row = 0; row < count; row++) rows_[row] = {y + (size_t)row * read, nullptr, 1.0f, queries + (size_t)row * asked};
    multiply(*query, count);

    // [decoder's output, refiner's output, attended memory]: the refiner reads the first and the last, and the output
    // of the refiner stands before the last in what is combined.
    const int refined = refiner.output(), width = refiner.layers[0].enter->matrix().inputs - read;
    const int first = read + width, second = refined + width;
    float* joined = room(joined_, (size_t)count * (first + second));
    each(count, [&](int row) {
        float* own = joined + (size_t)row * (first + second);
        const size_t source = owners[row];
        float* looked = weights + (size_t)row * memory.size;
        const int length = memory.lengths[source];
        std::copy(y + (size_t)row * read, y + (size_t)(row + 1) * read, own);
        kernels_->attend(attention, queries + (size_t)row * asked, memory.keys + source * memory.size * attention.size,
                         memory.memory + source * memory.size * width, length, width, looked, own + read);
        std::fill(looked + length, looked + memory.size, 0.0f);
        std::copy(own + read, own + first, own + first + refined);
    });
    const size_t entries = decoder.layers.size() * decoder.entries();
    for (int row = 0; row < count; row++) x_[row] = joined + (size_t)row * (first + second);
    const float* z = step(refiner, x_, false, before + entries, after + entries);

    const int wide = combine->width(), size = combine->matrix().outputs;
    float* made = room(made_, (size_t)count * wide);
    for (int row = 0; row < count; row++) {
        float* own = joined + (size_t)row * (first + second) + first;
        std::copy(z + (size_t)row * refined, z + (size_t)(row + 1) * refined, own);
        rows_[row] = {own, nullptr, 1.0f, made + (size_t)row * wide};
    }
    multiply(*combine, count);
    for (int row = 0; row < count; row++) {
        kernels_->tanh(made + (size_t)row * wide, size, vectors + (size_t)row * size);
        rows_[row] = {vectors + (size_t)row * size, nullptr, 1.0f, logits + (size_t)row * output->width()};
    }
    multiply(*output, count);
}

void Translator::likeliest(const float* logits, int64_t stride, int rows, const int32_t* banned, int banned_count, int count,
                           double* logprobs, int64_t* ids) {
    const std::lock_guard<std::mutex> guard(lock_);
    const int size = output->matrix().outputs;
    banned_.assign(size, 0);
    for (int at = 0; at < banned_count; at++) banned_[banned[at]] = 1;
    float* found = room(made_, (size_t)rows * count);
    each(rows, [&](int row) {
        float top;
        float* values = found + (size_t)row * count;
        const double total = kernels_->likeliest(logits + row * stride, size, banned_.data(), count, &top, values, ids + (size_t)row * count);
        for (int place = 0; place < count; place++)
            logprobs[(size_t)row * count + place] = std::min((double)values[place] - (double)top, 0.0) - total;
    });
}
