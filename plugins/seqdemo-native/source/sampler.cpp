#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

namespace {

constexpr int32_t LOWEST = std::numeric_limits<int32_t>::min();
constexpr int SORTED = 64;  // tokens of a nucleus that are put in order
static_assert(SORTED <= ARRANGED);

// An integer of the same order.
int64_t key_of(double value) {
    value += 0.0;  // -0 becomes 0
    int64_t raw;
    std::memcpy(&raw, &value, sizeof raw);
    return raw ^ ((raw >> 63) & std::numeric_limits<int64_t>::max());
}

}  // namespace

double uniform(uint64_t seed, uint64_t position) {
    // numpy counts up before the first block.
    uint64_t word[4] = {position + 1, position + 1 == 0, 0, 0};
    uint64_t key[2] = {seed, 0};
    for (int round = 0; round < 10; round++) {
        const auto first = (unsigned __int128)0xD2E7470EE14C6C93u * word[0];
        const auto second = (unsigned __int128)0xCA5A826395121157u * word[2];
        const uint64_t next[4] = {(uint64_t)(second >> 64) ^ word[1] ^ key[0], (uint64_t)second,
                                  (uint64_t)(first >> 64) ^ word[3] ^ key[1], (uint64_t)first};
        std::copy(next, next + 4, word);
        key[0] += 0x9E3779B97F4A7C15u;
        key[1] += 0xBB67AE8584CAA73Bu;
    }
    return (double)(word[0] >> 11) * 0x1p-53;
}

Sampler::Sampler(const Kernels& kernels, int vocabulary)
    : kernels_(kernels), size_(vocabulary), odds_(vocabulary), keys_(vocabulary), narrow_(vocabulary),
      scores_(vocabulary), weights_(vocabulary), wide_(vocabulary), columns_(vocabulary), order_(vocabulary + 1),
      seen_(vocabulary) {}

bool Sampler::draw(const float* logits, const Rules& rules, double number, const std::vector<int32_t>& recent,
                   const std::vector<int32_t>& forbidden, Pick& pick) {
    const Facts facts = kernels_.facts(logits, size_, odds_.data(), keys_.data());
    if (!facts.sound) return false;
    const bool penalised = rules.penalty != 1.0 && rules.window > 0 && !recent.empty();
    double top = facts.top;
    if (penalised) {
        std::copy(logits, logits + size_, scores_.begin());
        penalise(rules, recent);
        for (const int32_t id : forbidden) scores_[id] = -INFINITY;
        std::transform(scores_.begin(), scores_.end(), wide_.begin(), key_of);
        top = *std::max_element(scores_.begin(), scores_.end());
    } else {
        narrow_ = keys_;
        bool lost = false;
        for (const int32_t id : forbidden) {
            narrow_[id] = LOWEST;
            lost = lost || logits[id] == facts.top;
        }
        if (lost) {
            const auto best = std::max_element(narrow_.begin(), narrow_.end());
            top = *best == LOWEST ? -INFINITY : logits[best - narrow_.begin()];
        }
    }
    if (std::isinf(top)) return false;
    if (rules.temperature == 0.0) {
        keep_largest(1, penalised);
        weights_[0] = 1.0;
    } else {
        keep_largest(rules.top_k > 0 ? std::min(rules.top_k, size_) : size_, penalised);
        // Columns ascend, so that what is written over is not needed any more.
        for (int at = 0; at < kept_; at++) {
            const int32_t id = columns_[at];
            scores_[at] = penalised ? scores_[id] : narrow_[id] == LOWEST ? -INFINITY : logits[id];
        }
        double* weights = weights_.data();
        kernels_.weigh(scores_.data(), kept_, top, rules.temperature, weights);
        if (rules.top_p < 1.0) keep_nucleus(rules.top_p * std::accumulate(weights, weights + kept_, 0.0));
        if (rules.min_p > 0.0) {
            const double least = rules.min_p * *std::max_element(weights, weights + kept_);
            for (int at = 0; at < kept_; at++)
                if (!(weights[at] >= least)) weights[at] = 0.0;
        }
    }
    const double* weights = weights_.data();
    const double aim = number * std::accumulate(weights, weights + kept_, 0.0);
    double mass = 0.0;
    int chosen = 0;
    for (int at = 0; at < kept_ && mass <= aim; at++) {
        if (weights[at] > 0.0) chosen = at;
        mass += weights[at];
    }
    pick.id = columns_[chosen];
    const double log_total = std::log(facts.total);
    pick.logprob = (double)(logits[pick.id] - facts.top) - log_total;
    pick.entropy = std::max(log_total - facts.mean, 0.0);
    if (rules.alternatives > 0) report(rules, facts, pick);
    return true;
}

// Keskar et al. 2019, eq. 1, with the sign of the score considered; each id once.
void Sampler::penalise(const Rules& rules, const std::vector<int32_t>& recent) {
    mark_++;
    const size_t first = recent.size() > (size_t)rules.window ? recent.size() - rules.window : 0;
    for (size_t at = first; at < recent.size(); at++) {
        double& score = scores_[recent[at]];
        if (std::exchange(seen_[recent[at]], mark_) == mark_) continue;
        score = std::min(score > 0 ? score / rules.penalty : score * rules.penalty, std::numeric_limits<double>::max());
    }
}

void Sampler::keep_largest(int k, bool penalised) {
    kept_ = k;
    if (k == size_) {
        std::iota(columns_.begin(), columns_.end(), 0);
        return;
    }
    // Where more reach the bar, all the surplus equals it.
    const auto keep = [&](const auto& keys, auto bar, int reached) {
        int level = k;
        for (int at = 0; at < reached; at++) level -= keys[columns_[at]] > bar;
        for (int at = 0, count = 0; at < reached; at++)
            if (keys[columns_[at]] > bar || level-- > 0) columns_[count++] = columns_[at];
    };
    if (penalised) {
        const int64_t bar = kernels_.bar64(wide_.data(), size_, k);
        keep(wide_, bar, kernels_.select64(wide_.data(), size_, bar, columns_.data()));
    } else {
        const int32_t bar = kernels_.bar32(narrow_.data(), size_, k);
        keep(narrow_, bar, kernels_.select32(narrow_.data(), size_, bar, columns_.data()));
    }
}

void Sampler::keep_nucleus(double enough) {
    double* weights = weights_.data();
    // Few tokens in order, as seqdemo adds them up; where they are not enough, the least weight that is needed.
    double mass = 0.0;
    int needed = 0;
    if (kept_ <= SORTED) {
        std::iota(order_.begin(), order_.begin() + kept_, 0);
        kernels_.arrange(weights, order_.data(), kept_);
        while (needed < kept_ && mass < enough) mass += weights[order_[needed++]];
        for (int at = needed; at < kept_; at++) weights[order_[at]] = 0.0;
        return;
    }
    for (int at = 0; at < kept_; at++) wide_[at] = key_of(weights[at]);
    const int reached = kernels_.select64(wide_.data(), kept_, kernels_.bar64(wide_.data(), kept_, SORTED), order_.data());
    if (reached <= ARRANGED) {
        kernels_.arrange(weights, order_.data(), reached);
        while (needed < reached && mass < enough) mass += weights[order_[needed++]];
    }
    if (reached <= ARRANGED && mass >= enough) {
        for (int at = 0; at < kept_; at++) wide_[at] = 0;
        for (int at = 0; at < needed; at++) wide_[order_[at]] = 1;
        for (int at = 0; at < kept_; at++)
            if (!wide_[at]) weights[at] = 0.0;
        return;
    }
    const int64_t least = kernels_.share(weights, kept_, enough);
    double above = 0.0;
    for (int at = 0; at < kept_; at++)
        if (wide_[at] > least) above += weights[at];
    for (int at = 0; at < kept_; at++) {
        if (wide_[at] > least) continue;
        if (wide_[at] < least || above >= enough)
            weights[at] = 0.0;
        else
            above += weights[at];
    }
}

void Sampler::report(const Rules& rules, const Facts& facts, Pick& pick) {
    const int wanted = std::min(rules.alternatives, size_);
    const int32_t bar = kernels_.bar32(keys_.data(), size_, wanted);
    const int reached = kernels_.select32(keys_.data(), size_, bar, order_.data());
    std::sort(order_.begin(), order_.begin() + reached, [this](int32_t a, int32_t b) {
        return keys_[a] > keys_[b] || (keys_[a] == keys_[b] && a < b);
    });
    pick.reported = wanted;
    if (std::find(order_.begin(), order_.begin() + wanted, pick.id) == order_.begin() + wanted)
        order_[pick.reported++] = pick.id;
    const auto end = columns_.begin() + kept_;
    const double total = std::accumulate(weights_.begin(), weights_.begin() + kept_, 0.0);
    for (int at = 0; at < pick.reported; at++) {
        const auto place = std::lower_bound(columns_.begin(), end, order_[at]);
        const bool kept = place != end && *place == order_[at];
        pick.ids[at] = order_[at];
        pick.raw[at] = odds_[order_[at]] / facts.total;
        pick.ruled[at] = kept ? weights_[place - columns_.begin()] / total : 0.0;
    }
}
