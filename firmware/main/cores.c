#include "cores.h"

#include "board.h"
#include "tasks.h"

#if portNUM_PROCESSORS > 1

/* The caller runs the even tasks, the other core the odd ones, so they synchronise only at the start and at the end. */
static struct {
    TaskHandle_t helper, caller;
    void (*task)(void *argument, uint32_t index);
    void *argument;
    uint32_t count;
} work;

static void run_from(uint32_t first) {
    for (uint32_t i = first; i < work.count; i += 2)
        work.task(work.argument, i);
}

static void help(void *unused) {
    (void)unused;
    for (;;) {
        ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
        run_from(1);
        xTaskNotifyGive(work.caller);
    }
}

void fw_cores_start(void) {
    work.helper = fw_tasks_start(TASK_HELPER, help, 1 - BOARD_ANSWERING_CORE);
}

void fw_cores_run(void *context, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument) {
    (void)context;
    work.caller = xTaskGetCurrentTaskHandle();
    work.task = task;
    work.argument = argument;
    work.count = count;
    if (count > 1 && work.helper)
        xTaskNotifyGive(work.helper);
    run_from(0);
    if (count > 1 && work.helper)
        ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
    else
        run_from(1);
}

#else

void fw_cores_start(void) {}

void fw_cores_run(void *context, uint32_t count, void (*task)(void *argument, uint32_t index), void *argument) {
    (void)context;
    for (uint32_t i = 0; i < count; i++)
        task(argument, i);
}

#endif
