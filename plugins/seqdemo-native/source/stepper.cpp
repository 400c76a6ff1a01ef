#include "stepper.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace {

constexpr int PIECE = 64;  // tokens of a prompt whose products share the weights they read
constexpr int ROWS_WORTH_SHARING = 4;  // cells of fewer rows take less than handing them out

}  // namespace

Stepper::Stepper(const Model& model, int slots, int threads)
    : model_(model), slots_(slots), sampler_(*model.kernels, model.vocabulary), pool_(threads) {
    const int layers = model.layers();
    const Product& top = model.leave ? *model.leave : model.above.back();
    const size_t state = (size_t)layers * model.entries() * model.hidden;
    const size_t ahead = (size_t)layers * model.recurrent[0].width();
    for (Slot& slot : slots_) {
        slot.state.resize(state);
        slot.ahead.resize(ahead);
    }
    int depth = model.recurrent[0].matrix().depth, width = model.recurrent[0].width();
    if (model.enter) depth = std::max(depth, model.enter->matrix().depth);
    if (model.leave) {
        depth = std::max(depth, model.leave->matrix().depth);
        width = std::max(width, model.above.back().width());
    }
    depth_ = depth;
    width_ = width;
    logits_width_ = top.width();
    bytes_.resize((layers + 2) * (size_t)slots * depth_);
    inputs_.resize((layers + 2) * (size_t)slots);
    x_.resize(slots * width_);
    logits_.resize(slots * logits_width_);
    rows_.resize(slots);
    ahead_rows_.resize((size_t)layers * slots);
    job_.kernels = ahead_job_.kernels = model.kernels;
    ahead_job_.parts.resize(layers);
    job_.parts.resize(1);
    output_beside_ = output_is_a_share();
}

float* Stepper::entry(int slot, int layer, int which) {
    return slots_[slot].state.data() + ((size_t)layer * model_.entries() + which) * model_.hidden;
}

float* Stepper::ahead(int slot, int layer) {
    return slots_[slot].ahead.data() + (size_t)layer * model_.recurrent[0].width();
}

void Stepper::Job::work(const void* context, int first, int last) {
    const Job& job = *static_cast<const Job*>(context);
    int begin = 0;
    for (const Part& part : job.parts) {
        const int from = std::max(first, begin), to = std::min(last, part.end);
        if (from < to) job.kernels->product(*part.matrix, from - begin, to - begin, part.rows, part.count);
        begin = part.end;
    }
}

void Stepper::feed(int place, int row, const float* x, int size) {
    const size_t at = (size_t)place * slots_.size() + row;
    Row& input = inputs_[at];
    input.floats = x;
    input.bytes = bytes_.data() + at * depth_;
    if (model_.integers) input.scale = model_.kernels->quantise(x, size, (size + 3) / 4 * 4, bytes_.data() + at * depth_);
}

void Stepper::place_rows(int place, int count, float* y, size_t stride) {
    for (int row = 0; row < count; row++) {
        rows_[row] = inputs_[(size_t)place * slots_.size() + row];
        rows_[row].y = y + row * stride;
    }
}

void Stepper::multiply(const Product& product, int place, int count, float* y, size_t stride) {
    place_rows(place, count, y, stride);
    compute(product, rows_.data(), count);
}

bool Stepper::output_is_a_share() const {
    const auto weights = [](const Product& product) { return (int64_t)product.matrix().blocks * product.matrix().depth; };
    const int64_t output = weights(model_.above.back());
    int64_t all = output;
    for (const Product& recurrent : model_.recurrent) all += weights(recurrent);
    return pool_.threads() > 1 && output * pool_.threads() <= all;
}

void Stepper::compute(const Product& product, const Row* rows, int count) {
    job_.parts[0] = {&product.matrix(), rows, count, product.matrix().blocks};
    pool_.start(Job::work, &job_, product.matrix().blocks);
    pool_.join();
}

void Stepper::start_ahead(const int32_t* slots, int count) {
    int end = 0;
    for (int layer = 0; layer < model_.layers(); layer++) {
        Row* rows = ahead_rows_.data() + layer * slots_.size();
        for (int row = 0; row < count; row++) {
            rows[row] = inputs_[layer * slots_.size() + row];
            rows[row].y = ahead(slots[row], layer);
        }
        const Matrix& matrix = model_.recurrent[layer].matrix();
        ahead_job_.parts[layer] = {&matrix, rows, count, end += matrix.blocks};
    }
    pool_.start(Job::work, &ahead_job_, end);
}

void Stepper::cell(int layer, int slot, int row, const float* x) {
    float* h = entry(slot, layer, 0);
    float* c = model_.entries() > 1 ? entry(slot, layer, 1) : nullptr;
    model_.kernels->cell(model_.kind, model_.hidden, x, ahead(slot, layer), h, c);
    feed(layer, row, h, model_.hidden);
}

void Stepper::forward(const int32_t* ids, const int32_t* slots, int count, bool output) {
    const int layers = model_.layers();
    const auto vector = [&](int row) { return model_.table + (size_t)ids[row] * model_.table_width; };
    if (model_.enter) {
        for (int row = 0; row < count; row++) feed(layers, row, vector(row), model_.table_width);
        multiply(*model_.enter, layers, count, x_.data(), width_);
    }
    for (int layer = 0; layer < layers; layer++) {
        const auto part = [&](int first, int last) {
            for (int row = first; row < last; row++)
                cell(layer, slots[row], row, layer || model_.enter ? x_.data() + row * width_ : vector(row));
        };
        if (count < ROWS_WORTH_SHARING || pool_.threads() == 1) {
            part(0, count);
        } else {
            pool_.start([](const void* context, int first, int last) {
                (*static_cast<const decltype(part)*>(context))(first, last);
            }, &part, count);
            pool_.join();
        }
        if (layer == layers - 1 && !output) continue;
        const bool gives_logits = layer == layers - 1 && !model_.leave;
        if (gives_logits && output_beside_) {
            start_ahead(slots, count);
            place_rows(layer, count, logits_.data(), logits_width_);
            const Matrix& matrix = model_.above[layer].matrix();
            return model_.kernels->product(matrix, 0, matrix.blocks, rows_.data(), count);
        }
        if (gives_logits)
            multiply(model_.above[layer], layer, count, logits_.data(), logits_width_);
        else
            multiply(model_.above[layer], layer, count, x_.data(), width_);
    }
    if (model_.leave && output) {
        for (int row = 0; row < count; row++)
            feed(layers + 1, row, x_.data() + row * width_, model_.leave->matrix().inputs);
        multiply(*model_.leave, layers + 1, count, logits_.data(), logits_width_);
    }
    start_ahead(slots, count);
}

void Stepper::put(int slot, const float* state) {
    std::copy(state, state + slots_[slot].state.size(), slots_[slot].state.begin());
    for (int layer = 0; layer < model_.layers(); layer++) feed(layer, 0, entry(slot, layer, 0), model_.hidden);
    const int32_t place = slot;
    start_ahead(&place, 1);
    finish();
}

void Stepper::take(int slot, float* state) const {
    std::copy(slots_[slot].state.begin(), slots_[slot].state.end(), state);
}

void Stepper::step(const int32_t* ids, const int32_t* slots, int count, float* logits) {
    forward(ids, slots, count);
    for (int row = 0; row < count; row++)
        std::memcpy(logits + (size_t)row * model_.vocabulary, logits_.data() + row * logits_width_, model_.vocabulary * sizeof(float));
    finish();
}

void Stepper::read(int slot, const int32_t* ids, int count, float* logits) {
    for (int first = 0; first < count; first += PIECE)
        read_piece(slot, ids + first, std::min(PIECE, count - first), first + PIECE >= count);
    std::memcpy(logits, logits_.data(), model_.vocabulary * sizeof(float));
}

void Stepper::read_piece(int slot, const int32_t* ids, int count, bool output) {
    const int layers = model_.layers(), hidden = model_.hidden;
    passed_.resize((size_t)PIECE * hidden);
    passed_x_.resize(PIECE * width_);
    passed_bytes_.resize(PIECE * depth_);
    passed_rows_.resize(PIECE);
    const auto vector = [&](int at) { return model_.table + (size_t)ids[at] * model_.table_width; };
    const auto take_in = [&](int at, const float* x, int size) {
        uint8_t* bytes = passed_bytes_.data() + at * depth_;
        passed_rows_[at] = {x, bytes, 1.0f, passed_x_.data() + at * width_};
        if (model_.integers) passed_rows_[at].scale = model_.kernels->quantise(x, size, (size + 3) / 4 * 4, bytes);
    };
    if (model_.enter) {
        for (int at = 0; at < count; at++) take_in(at, vector(at), model_.table_width);
        compute(*model_.enter, passed_rows_.data(), count);
    }
    for (int layer = 0; layer < layers; layer++) {
        float* h = entry(slot, layer, 0);
        float* c = model_.entries() > 1 ? entry(slot, layer, 1) : nullptr;
        for (int at = 0; at < count; at++) {
            const float* x = layer || model_.enter ? passed_x_.data() + at * width_ : vector(at);
            model_.kernels->cell(model_.kind, hidden, x, ahead(slot, layer), h, c);
            float* passed = passed_.data() + (size_t)at * hidden;
            std::copy(h, h + hidden, passed);
            take_in(at, passed, hidden);
            Row next = passed_rows_[at];
            next.y = ahead(slot, layer);
            compute(model_.recurrent[layer], &next, 1);
        }
        if (layer < layers - 1) {
            compute(model_.above[layer], passed_rows_.data(), count);
        } else if (output) {
            Row last = passed_rows_[count - 1];
            last.y = model_.leave ? x_.data() : logits_.data();
            compute(model_.above[layer], &last, 1);
        }
    }
    if (model_.leave && output) {
        feed(layers + 1, 0, x_.data(), model_.leave->matrix().inputs);
        multiply(*model_.leave, layers + 1, 1, logits_.data(), logits_width_);
    }
}

int Stepper::run(const Draw* draws, int rows, int count, const std::vector<int32_t>& forbidden,
                 const std::vector<int32_t>& ends, float* logits, const Drawn& drawn) {
    ran_.clear();
    before_.resize(rows);
    read_.assign(rows, {});
    std::vector<std::vector<int32_t>> recent(rows);
    for (int row = 0; row < rows; row++) {
        ran_.push_back(draws[row].slot);
        before_[row] = slots_[draws[row].slot];
        recent[row].assign(draws[row].recent, draws[row].recent + draws[row].recent_count);
        std::memcpy(logits_.data() + row * logits_width_, logits + (size_t)row * model_.vocabulary, model_.vocabulary * sizeof(float));
    }
    int made = 0;
    for (bool ended = false; made < count && !ended;) {
        int32_t* ids = drawn.ids + (size_t)made * rows;
        bool drawable = true;
        for (int row = 0; row < rows && drawable; row++) {
            const size_t at = (size_t)made * rows + row, first = at * drawn.room;
            Pick pick{};
            pick.ids = drawn.alternatives + first;
            pick.raw = drawn.raw + first;
            pick.ruled = drawn.ruled + first;
            const Draw& draw = draws[row];
            drawable = sampler_.draw(logits_.data() + row * logits_width_, draw.rules,
                                     uniform(draw.seed, draw.position + made), recent[row], forbidden, pick);
            ids[row] = pick.id;
            drawn.logprobs[at] = pick.logprob;
            drawn.entropies[at] = pick.entropy;
            drawn.reported[at] = pick.reported;
        }
        if (!drawable) break;
        finish();
        forward(ids, ran_.data(), rows);
        made++;
        for (int row = 0; row < rows; row++) {
            read_[row].push_back(ids[row]);
            recent[row].push_back(ids[row]);
            ended = ended || std::find(ends.begin(), ends.end(), ids[row]) != ends.end();
        }
    }
    finish();
    for (int row = 0; row < rows; row++)
        std::memcpy(logits + (size_t)row * model_.vocabulary, logits_.data() + row * logits_width_, model_.vocabulary * sizeof(float));
    return made;
}

void Stepper::rewind(int slot, int count) {
    const auto place = std::find(ran_.begin(), ran_.end(), slot);
    if (place == ran_.end()) throw std::out_of_range("this slot took no part in the last run");
    const size_t row = place - ran_.begin();
    slots_[slot] = before_[row];
    for (int at = 0; at < count; at++) {
        forward(&read_[row][at], &slot, 1, false);
        finish();
    }
}
