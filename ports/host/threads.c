#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    SPINS = 20000,          /* polls for the next call, about 50 us, before a thread goes to sleep */
    MAX_THREADS = 15,
    LATE_NS = 50000,        /* a longer wait, beyond a fair share of the work, means that another program runs */
    SOLO_NS = 20000000,     /* how long to work alone after the first delay; each further one doubles it, up to: */
    LONGEST_SOLO_NS = 640000000,
    TRUSTED = 1024          /* number of calls without a delay that halves it again */
};

struct shrew_threads {
    pthread_t thread[MAX_THREADS];
    uint32_t started;
    pthread_mutex_t falling_asleep; /* held from the last poll for a call to the wait for one */
    pthread_cond_t called;
    void (*task)(void *argument, uint32_t index);
    void *argument;
    /* The call's number in the upper half, the next index in the lower, so that a thread that wakes up late cannot take
     * an index of a later call by mistake. */
    _Atomic uint64_t next;
    _Atomic uint32_t count, done, sleeping, closing;
    uint64_t solo_until;
    uint32_t solo, in_time;
};

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Takes and runs tasks of one call until none is left. */
static void work(shrew_threads *p, uint32_t call) {
    for (;;) {
        uint64_t next = atomic_load_explicit(&p->next, memory_order_acquire);
        if (next >> 32 != call || (uint32_t)next >= atomic_load_explicit(&p->count, memory_order_relaxed))
            return;
        if (!atomic_compare_exchange_weak_explicit(&p->next, &next, next + 1, memory_order_acq_rel,
                                                   memory_order_relaxed))
            continue;
        p->task(p->argument, (uint32_t)next);
        atomic_fetch_add_explicit(&p->done, 1, memory_order_release);
    }
}

static void *run(void *pool) {
    shrew_threads *p = pool;
    uint32_t seen = 0;
    for (;;) {
        uint32_t call = seen;
        for (uint32_t i = 0; i < SPINS && call == seen; i++, relax())
            call = (uint32_t)(atomic_load_explicit(&p->next, memory_order_acquire) >> 32);
        if (call == seen) {
            pthread_mutex_lock(&p->falling_asleep);
            atomic_fetch_add(&p->sleeping, 1);
            while ((call = (uint32_t)(atomic_load(&p->next) >> 32)) == seen && !atomic_load(&p->closing))
                pthread_cond_wait(&p->called, &p->falling_asleep);
            atomic_fetch_sub(&p->sleeping, 1);
            pthread_mutex_unlock(&p->falling_asleep);
        }
        if (atomic_load(&p->closing))
            return NULL;
        seen = call;
        work(p, call);
    }
}

shrew_threads *shrew_threads_open(uint32_t workers) {
    shrew_threads *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    pthread_mutex_init(&p->falling_asleep, NULL);
    pthread_cond_init(&p->called, NULL);
    p->solo = SOLO_NS;
    while (p->started + 1 < workers && p->started < MAX_THREADS) {
        if (pthread_create(&p->thread[p->started], NULL, run, p)) {
            shrew_threads_close(p);
            return NULL;
        }
        p->started++;
    }
    return p;
}

void shrew_threads_close(shrew_threads *p) {
    if (!p)
        return;
    pthread_mutex_lock(&p->falling_asleep);
    atomic_store(&p->closing, 1);
    pthread_cond_broadcast(&p->called);
    pthread_mutex_unlock(&p->falling_asleep);
    /* Threads that are polling find a call without work. */
    atomic_store(&p->count, 0);
    atomic_fetch_add(&p->next, (uint64_t)1 << 32);
    for (uint32_t i = 0; i < p->started; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->called);
    pthread_mutex_destroy(&p->falling_asleep);
    free(p);
}

static void wait_for_all(shrew_threads *p, uint32_t count) {
    for (uint32_t spins = 1; atomic_load_explicit(&p->done, memory_order_acquire) < count; spins++) {
        relax();
        if (spins % 1024 == 0)
            sched_yield();
    }
}

/* Working alone is faster if calling and waiting take longer than the work, because other programs use the cores. */
static void judge(shrew_threads *p, uint64_t own, uint64_t all, uint64_t end) {
    if (all > 2 * own + LATE_NS) {
        p->solo_until = end + p->solo;
        p->solo = p->solo < LONGEST_SOLO_NS ? 2 * p->solo : p->solo;
        p->in_time = 0;
    } else if (++p->in_time % TRUSTED == 0 && p->solo > SOLO_NS) {
        p->solo /= 2;
    }
}

void shrew_threads_for(void *context, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument) {
    shrew_threads *p = context;
    const uint64_t begin = now();
    if (!p->started || count < 2 || begin < p->solo_until) {
        for (uint32_t i = 0; i < count; i++)
            task(argument, i);
        return;
    }
    /* No thread reads these between calls: all tasks of the last call are done. */
    p->task = task;
    p->argument = argument;
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    atomic_store_explicit(&p->count, count, memory_order_relaxed);
    const uint32_t call = (uint32_t)(atomic_load_explicit(&p->next, memory_order_relaxed) >> 32) + 1;
    atomic_store(&p->next, (uint64_t)call << 32);
    if (atomic_load(&p->sleeping)) {
        pthread_mutex_lock(&p->falling_asleep);
        pthread_cond_broadcast(&p->called);
        pthread_mutex_unlock(&p->falling_asleep);
    }
    const uint64_t called = now();
    work(p, call);
    const uint64_t worked = now();
    wait_for_all(p, count);
    const uint64_t end = now();
    judge(p, worked - called, end - begin, end);
}
