#ifndef SHREW_SPLIT_H
#define SHREW_SPLIT_H

#include "session.h"

typedef void (*shrew_work)(void *argument, uint32_t worker, uint32_t first, uint32_t last);

/* Splits items into tasks of at least grain multiply-adds, each beginning at a multiple of step, and runs
 * work(argument, worker, first, last) for each. */
void shrew_split(const shrew_session *session, uint32_t items, uint32_t step, uint64_t multiply_adds, shrew_work work,
                 void *argument);

#endif
