/* The sampler's random number generator: PCG32 (O'Neill 2014, XSH-RR), 64 bits of state, 32 of output. */
#ifndef SHREW_RANDOM_H
#define SHREW_RANDOM_H

#include <stdint.h>

static inline uint64_t shrew_step_random(uint64_t state) {
    return state * 6364136223846793005u + 1442695040888963407u;
}

static inline uint64_t shrew_seed_random(uint64_t seed) {
    return shrew_step_random(shrew_step_random(seed + 1442695040888963407u));
}

static inline uint32_t shrew_next_random(uint64_t *state) {
    const uint64_t old = *state;
    *state = shrew_step_random(old);
    const uint32_t mixed = (uint32_t)(((old >> 18) ^ old) >> 27);
    const uint32_t turn = (uint32_t)(old >> 59);
    return mixed >> turn | mixed << ((32 - turn) & 31);
}

#endif
