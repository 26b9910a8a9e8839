/* The firmware's tasks: their stacks, and how much of each was never used. */
#ifndef SHREW_TASKS_H
#define SHREW_TASKS_H

#include <stddef.h>

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

typedef enum fw_task {
    TASK_MAIN,     /* starts everything, then reads the console; ESP-IDF makes it */
    TASK_GENERATE, /* answers */
    TASK_JOBS,     /* uploads, loads and removals */
    TASK_SERVER,   /* of the web server, which makes it */
    TASK_HELPER,   /* of the other core, where there is one */
    TASKS
} fw_task;

/* Makes the main task one of ours: its priority, and that its stack is watched. */
void fw_tasks_begin(void);

/* Makes a task. Without memory for its stack the device cannot work, and restarts. */
TaskHandle_t fw_tasks_start(fw_task which, TaskFunction_t run, BaseType_t core);

/* In the units of xTaskCreate. */
uint32_t fw_tasks_stack(fw_task which);

/* Warns in the log, once for each task, when less than TASKS_MARGIN bytes of its stack were never used. */
void fw_tasks_watch(void);

/* One line for the console. */
void fw_tasks_print(void);

#endif
