/* Sizes, priorities and cores that depend on the chip. */
#ifndef SHREW_BOARD_H
#define SHREW_BOARD_H

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "sdkconfig.h"

#include "core/queue.h"

enum {
    BOARD_CLIENTS = 12,                    /* network connections */
    BOARD_CONNECTIONS = BOARD_CLIENTS + 2, /* plus two for the serial line: commands and messages */
    BOARD_PER_CLIENT = 4,
    BOARD_WAITING = 16,      /* waiting requests, 2.3 KB each; with PSRAM */
    BOARD_WAITING_SMALL = 6, /* the same without PSRAM */
    BOARD_MODELS = 16,       /* limit of listed models */

    /* Internal memory that models leave to the heap after everything has started, for sockets and Wi-Fi buffers.
     * shrew/chips/facts.py has the same figure for the planner. */
    BOARD_RESERVE = 48 * 1024,
    BOARD_PSRAM_RESERVE = 64 * 1024, /* likewise in PSRAM, for buffers of the web server */
    BOARD_ARENA_PIECES = 4, /* limit of pieces per kind of memory, the largest first; and the smallest worth taking */
    BOARD_LEAST_PIECE = 4096,
    BOARD_LINUX_PSRAM = 64 * 1024 * 1024, /* memory for models on Linux */

/* The scheduler simulated on Linux does not know the C library's locks. A task that waits for one held by a task of
 * lower priority would wait forever. So all our tasks have the web server's priority. */
#if CONFIG_IDF_TARGET_LINUX
    BOARD_PRIORITY = tskIDLE_PRIORITY + 5,
#else
    BOARD_PRIORITY = tskIDLE_PRIORITY + 4, /* below the web server's, which reads cancellations */
#endif

    BOARD_CORES = portNUM_PROCESSORS,
    BOARD_ANSWERING_CORE = BOARD_CORES - 1, /* Wi-Fi uses the first core */

    /* Stacks, in bytes: about one and a half times the maximum that an ESP32-C3 image used in an emulator under
     * tests/chat: 3,252 by the main task, whose stack is CONFIG_ESP_MAIN_TASK_STACK_SIZE, 3,072 by generate, 3,116 by
     * jobs and 4,460 by httpd. The helper only computes. `status` shows the use. */
    BOARD_GENERATE_STACK = 5120,
    BOARD_JOBS_STACK = 4864,
    BOARD_SERVER_STACK = 6656,
    BOARD_HELPER_STACK = 4096
};

#endif
