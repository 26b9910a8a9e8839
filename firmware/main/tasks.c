#include "tasks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "esp_log.h"

#include "board.h"

enum { TASKS_MARGIN = 512 };

static struct {
    const char *name;
    uint32_t stack;
    TaskHandle_t handle; /* NULL: not created yet, or not on this chip */
    int is_warned_of;
} tasks[TASKS] = {
    [TASK_MAIN] = {"main", CONFIG_ESP_MAIN_TASK_STACK_SIZE, NULL, 0},
    [TASK_GENERATE] = {"generate", BOARD_GENERATE_STACK, NULL, 0},
    [TASK_JOBS] = {"jobs", BOARD_JOBS_STACK, NULL, 0},
    [TASK_SERVER] = {"httpd", BOARD_SERVER_STACK, NULL, 0},
    [TASK_HELPER] = {"helper", BOARD_HELPER_STACK, NULL, 0},
};

void fw_tasks_begin(void) {
    tasks[TASK_MAIN].handle = xTaskGetCurrentTaskHandle();
    vTaskPrioritySet(NULL, BOARD_PRIORITY);
}

TaskHandle_t fw_tasks_start(fw_task which, TaskFunction_t run, BaseType_t core) {
    if (xTaskCreatePinnedToCore(run, tasks[which].name, tasks[which].stack, NULL, BOARD_PRIORITY, &tasks[which].handle,
                                core) != pdPASS) {
        ESP_LOGE("tasks", "no memory for the stack of %s", tasks[which].name);
        abort();
    }
    return tasks[which].handle;
}

uint32_t fw_tasks_stack(fw_task which) {
    return tasks[which].stack;
}

static TaskHandle_t handle_of(fw_task which) {
    if (which == TASK_SERVER && !tasks[which].handle)
        tasks[which].handle = xTaskGetHandle(tasks[which].name);
    return tasks[which].handle;
}

/* The stack's size and the bytes of it that were never used. Returns 0 if the task does not exist. */
static int look_at(fw_task which, uint32_t *untouched, uint32_t *bytes) {
    const TaskHandle_t handle = handle_of(which);
    if (!handle)
        return 0;
    *untouched = (uint32_t)(uxTaskGetStackHighWaterMark(handle) * sizeof(StackType_t));
    *bytes = (uint32_t)(tasks[which].stack * sizeof(StackType_t));
    return 1;
}

void fw_tasks_watch(void) {
    for (fw_task i = 0; i < TASKS; i++) {
        uint32_t untouched, bytes;
        if (tasks[i].is_warned_of || !look_at(i, &untouched, &bytes) || untouched >= TASKS_MARGIN)
            continue;
        tasks[i].is_warned_of = 1;
        ESP_LOGW("tasks", "%s: only %" PRIu32 " of its stack's %" PRIu32 " bytes were never used", tasks[i].name,
                 untouched, bytes);
    }
}

void fw_tasks_print(void) {
    const char *before = "stacks   ";
    for (fw_task i = 0; i < TASKS; i++) {
        uint32_t untouched, bytes;
        if (!look_at(i, &untouched, &bytes))
            continue;
        printf("%s%s %" PRIu32 " of %" PRIu32, before, tasks[i].name, bytes - untouched, bytes);
        before = ", ";
    }
    printf(" bytes used at most\n");
}
