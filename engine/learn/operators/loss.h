/* Softmax and cross entropy in one pass per row, while the row is in the cache. The gradient overwrites the logits. */

static void NAME(cross_entropy)(uint32_t rows, uint32_t vocab, float *logits, const uint32_t *targets,
                                const float *weights, float *losses) {
    for (uint32_t n = 0; n < rows; n++, logits += vocab) {
        float most = logits[0];
        vec largest = splat(most);
        uint32_t i = 0;
        for (; i + LANES <= vocab; i += LANES)
            largest = larger(largest, load(logits + i));
        most = largest_of(largest);
        for (; i < vocab; i++)
            most = logits[i] > most ? logits[i] : most;

        const float chosen = logits[targets[n]] - most;
        vec sums = splat(0.0f);
        for (i = 0; i + LANES <= vocab; i += LANES) {
            const vec e = exp_of(load(logits + i) - splat(most));
            store(logits + i, e);
            sums = sums + e;
        }
        float total = sum_of(sums);
        if (i < vocab) {
            const vec e = exp_of(load_first(logits + i, vocab - i) - splat(most));
            store_first(logits + i, vocab - i, e);
            for (; i < vocab; i++)
                total += logits[i];
        }
        losses[n] = 0.693147181f * lane(log2_of(splat(total)), 0) - chosen;

        const vec scale = splat(weights[n] / total);
        for (i = 0; i < vocab; i += LANES)
            store_first(logits + i, vocab - i, load_first(logits + i, vocab - i) * scale);
        logits[targets[n]] -= weights[n];
    }
}
