/* Splits work among the caller's threads. Rows and heads are split, sums never, so results cannot depend on it. */
#include "split.h"

typedef struct division {
    shrew_work work;
    void *argument;
    uint32_t items, share;
} division;

static void do_share(void *argument, uint32_t index) {
    const division *d = argument;
    const uint32_t first = index * d->share, left = d->items - first;
    d->work(d->argument, index, first, left < d->share ? d->items : first + d->share);
}

void shrew_split(const shrew_session *session, uint32_t items, uint32_t step, uint64_t multiply_adds, shrew_work work,
                 void *argument) {
    uint32_t tasks = session->parallel_for ? session->workers : 1;
    while (tasks > 1 && multiply_adds < (uint64_t)tasks * session->grain)
        tasks--;
    if (tasks < 2) {
        work(argument, 0, 0, items);
        return;
    }
    division d = {work, argument, items, ((items + tasks - 1) / tasks + step - 1) / step * step};
    session->parallel_for(session->parallel_context, (items + d.share - 1) / d.share, do_share, &d);
}
