#include "model.h"

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

template <class T>
T* Product::room(size_t count) {
    // Large ones on large pages, where the system has them: fewer look-ups of addresses while they are read.
    constexpr size_t LINE = 64, PAGE = 2 << 20;
    const size_t unit = count * sizeof(T) < PAGE / 4 ? LINE : PAGE;
    const size_t bytes = (count * sizeof(T) + unit - 1) / unit * unit;
    void* found = std::aligned_alloc(unit, bytes);
    if (found == nullptr) throw std::bad_alloc();
    memory_.emplace_back(found, &std::free);
#ifdef MADV_HUGEPAGE
    if (unit == PAGE) madvise(found, bytes, MADV_HUGEPAGE);
#endif
    std::memset(found, 0, bytes);
    return static_cast<T*>(found);
}

Product::Product(const float* weight, const float* bias, int outputs, int inputs, bool integers) {
    Matrix& m = matrix_;
    m.outputs = outputs;
    m.inputs = inputs;
    m.blocks = (outputs + BLOCK - 1) / BLOCK;
    m.depth = (inputs + 3) / 4 * 4;
    m.integers = integers;
    float* biases = room<float>(width());
    std::memcpy(biases, bias, outputs * sizeof(float));
    m.bias = biases;
    const size_t size = (size_t)width() * m.depth;
    if (!integers) {
        float* floats = room<float>(size);
        for (int n = 0; n < outputs; n++)
            for (int k = 0; k < inputs; k++)
                floats[((size_t)(n / BLOCK) * m.depth + k) * BLOCK + n % BLOCK] = weight[(size_t)n * inputs + k];
        m.floats = floats;
        return;
    }
    int8_t* bytes = room<int8_t>(size);
    float* scales = room<float>(width());
    int32_t* offsets = room<int32_t>(width());
    for (int n = 0; n < outputs; n++) {
        const float* row = weight + (size_t)n * inputs;
        float largest = 0.0f;
        for (int k = 0; k < inputs; k++) largest = std::fmax(largest, std::fabs(row[k]));
        scales[n] = std::fmax(largest / 127.0f, 1e-12f);
        for (int k = 0; k < inputs; k++) {
            const auto value = (int8_t)std::nearbyint(row[k] / scales[n]);
            bytes[((size_t)(n / BLOCK) * (m.depth / 4) + k / 4) * BLOCK * 4 + n % BLOCK * 4 + k % 4] = value;
            offsets[n] -= 128 * value;
        }
    }
    m.bytes = bytes;
    m.scale = scales;
    m.offset = offsets;
}
