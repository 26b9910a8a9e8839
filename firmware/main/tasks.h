/* The firmware's tasks: their stacks, and how much of each was never used. */
#ifndef SHREW_TASKS_H
#define SHREW_TASKS_H

#include <stddef.h>

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

typedef enum fw_task {
    TASK_MAIN,     /* starts everything, then reads the console; created by ESP-IDF */
    TASK_GENERATE, /* answers */
    TASK_JOBS,     /* uploads, loads and removals */
    TASK_SERVER,   /* the web server, which creates it */
    TASK_HELPER,   /* computes on the other core of a dual-core chip */
    TASKS
} fw_task;

/* Sets the main task's priority, and includes it in the watch over stacks. */
void fw_tasks_begin(void);

/* Creates a task. If there is no memory for its stack, the device restarts. */
TaskHandle_t fw_tasks_start(fw_task which, TaskFunction_t run, BaseType_t core);

/* The stack size in the units of xTaskCreate. */
uint32_t fw_tasks_stack(fw_task which);

/* Logs a warning, once per task, if fewer than TASKS_MARGIN bytes of its stack were never used. */
void fw_tasks_watch(void);

/* Prints one line to the console. */
void fw_tasks_print(void);

#endif
