#include "pool.h"

#include <algorithm>
#include <utility>

namespace {

constexpr int BITS = 20;  // of the first and of the last part of a share
constexpr uint64_t MASK = (1u << BITS) - 1;
constexpr int PIECES = 4;     // of a share, taken one by one
constexpr int PATIENCE = 3000;   // looks for a job before a thread sleeps: some 50 microseconds
constexpr int POLITE = 2000;     // looks at unfinished parts before the core is offered to others

using namespace std::chrono_literals;
constexpr auto LATE = 500us;  // beyond POLITE: no part takes so long, a thread that lost its core does
constexpr auto LEAST = 10ms, MOST = 320ms;  // that jobs are done alone
constexpr int FORGIVEN = 2000;  // jobs together after which it is as if none had been late
constexpr int UNAIDED = 200;    // jobs in a row that others did nothing of

inline uint64_t packed(uint64_t job, uint64_t first, uint64_t last) {
    return job << (2 * BITS) | first << BITS | last;
}

inline uint64_t tag(uint64_t job) { return job & (((uint64_t)1 << (64 - 2 * BITS)) - 1); }

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

}  // namespace

Pool::Pool(int threads) : shares_(std::max(threads, 1)), penalty_(LEAST) {
    for (int own = 1; own < this->threads(); own++) others_.emplace_back(&Pool::serve, this, own);
}

Pool::~Pool() {
    {
        std::lock_guard<std::mutex> held(lock_);
        closing_ = true;
    }
    wake_.notify_all();
    for (auto& other : others_) other.join();
}

void Pool::start(Work work, const void* context, int parts) {
    const int count = threads();
    work_ = work;
    context_ = context;
    parts_ = parts;
    alone_ = alone();
    if (alone_) return;
    undone_.store(parts, std::memory_order_relaxed);
    grain_.store(std::max(1, parts / (count * PIECES)), std::memory_order_relaxed);
    const uint64_t job = job_.load(std::memory_order_relaxed) + 1;
    for (int own = 0; own < count; own++) {
        const int64_t whole = parts;
        shares_[own].left.store(
            packed(tag(job), whole * own / count, whole * (own + 1) / count), std::memory_order_release);
    }
    job_.store(job);
    if (sleeping_.load()) {
        std::lock_guard<std::mutex> held(lock_);
        sleeping_ = false;
        wake_.notify_all();
    }
}

void Pool::join() {
    const int parts = std::exchange(parts_, 0);
    if (parts == 0) return;
    if (alone_) {
        work_(context_, 0, parts);
        return;
    }
    unaided_ = help(job_.load(std::memory_order_relaxed), 0) < parts ? 0 : unaided_ + 1;
    if (unaided_ > UNAIDED) avoid();
    for (int looks = 0; looks < POLITE && undone_.load(std::memory_order_acquire) > 0; looks++) pause();
    if (undone_.load(std::memory_order_acquire) == 0) return;
    const auto since = Clock::now();
    while (undone_.load(std::memory_order_acquire) > 0) std::this_thread::yield();
    if (Clock::now() - since > LATE) avoid();
}

bool Pool::alone() {
    if (threads() == 1) return true;
    if (!avoiding_) {
        if (++jobs_together_ > FORGIVEN) penalty_ = LEAST;
        return false;
    }
    avoiding_ = Clock::now() < until_;
    return avoiding_;
}

void Pool::avoid() {
    avoiding_ = true;
    jobs_together_ = unaided_ = 0;
    until_ = Clock::now() + penalty_;
    penalty_ = std::min<Clock::duration>(2 * penalty_, MOST);
}

int Pool::help(uint64_t job, int own) {
    const int count = threads();
    int done = 0;
    for (int turn = 0; turn < count; turn++) {
        auto& left = shares_[(own + turn) % count].left;
        uint64_t seen = left.load(std::memory_order_acquire);
        for (;;) {
            const int first = (int)(seen >> BITS & MASK), last = (int)(seen & MASK);
            if (seen >> (2 * BITS) != tag(job) || first >= last) break;
            const int next = std::min(first + grain_.load(std::memory_order_relaxed), last);
            // A thief takes from the end, the owner from the beginning.
            const int taken = turn == 0 ? first : last - (next - first);
            const uint64_t after = turn == 0 ? packed(tag(job), next, last) : packed(tag(job), first, taken);
            if (!left.compare_exchange_weak(seen, after, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
            work_(context_, taken, taken + (next - first));
            undone_.fetch_sub(next - first, std::memory_order_acq_rel);
            done += next - first;
            seen = left.load(std::memory_order_acquire);
        }
    }
    return done;
}

void Pool::serve(int own) {
    uint64_t done = 0;
    for (;;) {
        int looks = 0;
        while (job_.load(std::memory_order_acquire) == done && !closing_.load(std::memory_order_relaxed)) {
            if (looks++ < PATIENCE) {
                pause();
                continue;
            }
            std::unique_lock<std::mutex> held(lock_);
            sleeping_ = true;
            wake_.wait(held, [&] { return job_.load() != done || closing_; });
        }
        if (closing_) return;
        done = job_.load(std::memory_order_acquire);
        help(done, own);
    }
}
