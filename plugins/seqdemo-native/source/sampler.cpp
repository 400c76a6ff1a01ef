#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

namespace {

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
    : kernels_(kernels), size_(vocabulary), odds_(vocabulary), keys_(vocabulary), narrow_(vocabulary), scores_(vocabulary),
      weights_(vocabulary), wide_(vocabulary), needed_(vocabulary), seen_(vocabulary) {}

bool Sampler::draw(const float* logits, const Rules& rules, double number, const std::vector<int32_t>& recent,
                   const std::vector<int32_t>& forbidden, Pick& pick) {
    const Facts facts = kernels_.facts(logits, size_, odds_.data(), keys_.data());
    if (!facts.sound) return false;
    std::copy(logits, logits + size_, scores_.begin());
    if (rules.penalty != 1.0 && rules.window > 0) {
        // Keskar et al. 2019, eq. 1, with the sign of the score considered; each id once.
        mark_++;
        const size_t first = recent.size() > (size_t)rules.window ? recent.size() - rules.window : 0;
        for (size_t at = first; at < recent.size(); at++) {
            double& score = scores_[recent[at]];
            if (std::exchange(seen_[recent[at]], mark_) == mark_) continue;
            score = std::min(score > 0 ? score / rules.penalty : score * rules.penalty, std::numeric_limits<double>::max());
        }
    }
    for (const int32_t id : forbidden) scores_[id] = -std::numeric_limits<double>::infinity();
    const auto best = std::max_element(scores_.begin(), scores_.end());
    if (std::isinf(*best)) return false;
    if (rules.temperature == 0.0) {
        columns_.assign(1, (int32_t)(best - scores_.begin()));
        weights_[0] = 1.0;
        pick.id = columns_[0];
    } else {
        const double top = *best;
        if (rules.top_k > 0 && rules.top_k < size_) {
            if (rules.penalty == 1.0) {
                std::copy(keys_.begin(), keys_.end(), narrow_.begin());
                for (const int32_t id : forbidden) narrow_[id] = std::numeric_limits<int32_t>::min();
                keep(narrow_, kernels_.largest32(narrow_.data(), size_, rules.top_k), rules.top_k);
            } else {
                std::transform(scores_.begin(), scores_.end(), wide_.begin(), key_of);
                keep(wide_, kernels_.largest64(wide_.data(), size_, rules.top_k), rules.top_k);
            }
        } else {
            columns_.resize(size_);
            std::iota(columns_.begin(), columns_.end(), 0);
        }
        const int kept = (int)columns_.size();
        for (int at = 0; at < kept; at++) scores_[at] = scores_[columns_[at]];
        kernels_.weigh(scores_.data(), kept, top, rules.temperature, weights_.data());
        double* weights = weights_.data();
        if (rules.top_p < 1.0) keep_nucleus(rules.top_p * std::accumulate(weights, weights + kept, 0.0));
        if (rules.min_p > 0.0) {
            const double least = rules.min_p * *std::max_element(weights, weights + kept);
            for (int at = 0; at < kept; at++)
                if (!(weights[at] >= least)) weights[at] = 0.0;
        }
        const double aim = number * std::accumulate(weights, weights + kept, 0.0);
        double mass = 0.0;
        int chosen = 0;
        for (int at = 0; at < kept; at++) {
            if (weights[at] == 0.0) continue;
            chosen = at;
            mass += weights[at];
            if (mass > aim) break;
        }
        pick.id = columns_[chosen];
    }
    const double log_total = std::log(facts.total);
    pick.logprob = (double)(logits[pick.id] - facts.top) - log_total;
    pick.entropy = std::max(log_total - facts.mean, 0.0);
    if (rules.alternatives > 0) report(rules, facts, pick);
    return true;
}

template <class Key>
void Sampler::keep(const std::vector<Key>& keys, Key bar, int k) {
    columns_.clear();
    int level = k;
    for (const Key key : keys) level -= key > bar;
    for (int at = 0; at < size_; at++)
        if (keys[at] > bar || (keys[at] == bar && level-- > 0)) columns_.push_back(at);
}

void Sampler::keep_nucleus(double enough) {
    const int kept = (int)columns_.size();
    double* weights = weights_.data();
    for (int width = std::min(64, kept);; width = std::min(width * 8, kept)) {
        double bar = 0.0;
        if (width < kept) {
            for (int at = 0; at < kept; at++) std::memcpy(&wide_[at], &weights[at], sizeof(double));  // none is negative
            const int64_t key = kernels_.largest64(wide_.data(), kept, width);
            std::memcpy(&bar, &key, sizeof bar);
        }
        order_.clear();
        for (int at = 0; at < kept; at++)
            if (weights[at] >= bar) order_.push_back(at);
        std::sort(order_.begin(), order_.end(), [weights](int32_t a, int32_t b) {
            return weights[a] > weights[b] || (weights[a] == weights[b] && a < b);
        });
        // A token is needed while those before it are not enough.
        double mass = 0.0;
        size_t count = 0;
        while (count < order_.size() && mass < enough) mass += weights[order_[count++]];
        if (mass < enough && width < kept) continue;
        std::fill(needed_.begin(), needed_.begin() + kept, 0);
        for (size_t at = 0; at < count; at++) needed_[order_[at]] = 1;
        for (int at = 0; at < kept; at++)
            if (!needed_[at]) weights[at] = 0.0;
        return;
    }
}

void Sampler::report(const Rules& rules, const Facts& facts, Pick& pick) {
    const int wanted = std::min(rules.alternatives, size_);
    const int32_t bar = kernels_.largest32(keys_.data(), size_, wanted);
    order_.clear();
    for (int at = 0; at < size_; at++)
        if (keys_[at] >= bar) order_.push_back(at);
    std::sort(order_.begin(), order_.end(), [this](int32_t a, int32_t b) {
        return keys_[a] > keys_[b] || (keys_[a] == keys_[b] && a < b);
    });
    order_.resize(wanted);
    if (std::find(order_.begin(), order_.end(), pick.id) == order_.end()) order_.push_back(pick.id);
    const double total = std::accumulate(weights_.begin(), weights_.begin() + columns_.size(), 0.0);
    pick.reported = (int32_t)order_.size();
    for (size_t at = 0; at < order_.size(); at++) {
        const auto place = std::lower_bound(columns_.begin(), columns_.end(), order_[at]);
        const bool kept = place != columns_.end() && *place == order_[at];
        pick.ids[at] = order_[at];
        pick.raw[at] = odds_[order_[at]] / facts.total;
        pick.ruled[at] = kept ? weights_[place - columns_.begin()] / total : 0.0;
    }
}
