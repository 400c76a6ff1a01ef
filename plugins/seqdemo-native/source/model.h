// The weights of one head.

#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "kernels.h"

// A product, and the memory its weights lie in.
class Product {
public:
    // weight (outputs, inputs), bias (outputs)
    Product(const float* weight, const float* bias, int outputs, int inputs, bool integers);
    Product(const Product&) = delete;
    Product& operator=(const Product&) = delete;

    const Matrix& matrix() const { return matrix_; }
    int width() const { return matrix_.blocks * BLOCK; }

private:
    template <class T>
    T* room(size_t count);

    Matrix matrix_;
    std::vector<std::unique_ptr<void, void (*)(void*)>> memory_;
};

// What a step reads, from the bottom up: a row of the table, the product that enters the first layer where the table
// holds embeddings only, each layer's recurrent product and the one above it, and the output layer.
struct Model {
    const Kernels* kernels = nullptr;
    Kind kind = LSTM;
    bool integers = false;
    int hidden = 0, vocabulary = 0;
    const float* table = nullptr;  // (V, table_width), the caller's
    int table_width = 0;
    std::unique_ptr<Product> enter;
    std::deque<Product> recurrent;  // of each layer: U h + d
    std::deque<Product> above;      // of each layer: the next one's W h + b; of the last: what the head makes of it
    std::unique_ptr<Product> leave;  // the output layer, where the last one above is a projection

    int layers() const { return (int)recurrent.size(); }
    int gates() const { return kind == LSTM ? 4 : kind == GRU ? 3 : 1; }
    int entries() const { return kind == LSTM ? 2 : 1; }
};
