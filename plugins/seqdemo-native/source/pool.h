// Threads that share the parts of a job.

#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

// A job is a range of parts. Each thread begins with a share of its own, the same in every job of a size, so that the
// weights it reads stay in its core's cache; whoever is done takes parts of the others. So nobody waits for a thread
// that has not begun: where another process holds its core, the rest do its share.
//
// The thread that starts jobs takes part in them. Another thread looks for the next job for a moment before it sleeps.
// Where one has lost its core in the middle of a part, all wait for it: then jobs are done alone for a while, the longer
// the more often that happens.
class Pool {
public:
    explicit Pool(int threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int threads() const { return (int)shares_.size(); }

    // Call work(context, first, last) for pieces of 0 … parts - 1, and go on at once. The one before must be joined.
    using Work = void (*)(const void* context, int first, int last);
    void start(Work work, const void* context, int parts);
    // Take part until nothing is left, and wait for the others.
    void join();

private:
    // Job number, parts left: taken by comparing the whole, so that a late thread takes nothing of a later job.
    struct alignas(64) Share {
        std::atomic<uint64_t> left{0};
    };

    using Clock = std::chrono::steady_clock;

    // Do what is left of a job; gives how many parts that were.
    int help(uint64_t job, int own);
    void serve(int own);
    // Whether the next job is to be done alone.
    bool alone();
    // A part came late, or nobody helped: do jobs alone for a while.
    void avoid();

    std::vector<Share> shares_;
    alignas(64) std::atomic<uint64_t> job_{0};
    alignas(64) std::atomic<int> undone_{0};
    Work work_ = nullptr;
    const void* context_ = nullptr;
    std::atomic<int> grain_{1};
    // The first thread's own: parts of the job that is to be joined, whether it does them alone, and until when it does.
    int parts_ = 0;
    bool alone_ = false, avoiding_ = false;
    int jobs_together_ = 0, unaided_ = 0;
    Clock::time_point until_;
    Clock::duration penalty_;
    std::atomic<bool> closing_{false};
    std::atomic<bool> sleeping_{false};
    std::mutex lock_;
    std::condition_variable wake_;
    std::vector<std::thread> others_;
};
