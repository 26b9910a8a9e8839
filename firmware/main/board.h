/* Sizes and places that depend on the chip. */
#ifndef SHREW_BOARD_H
#define SHREW_BOARD_H

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "sdkconfig.h"

#include "core/queue.h"

enum {
    BOARD_CLIENTS = 12,                    /* connections of the network */
    BOARD_CONNECTIONS = BOARD_CLIENTS + 2, /* and two of the serial line: commands, and messages */
    BOARD_PER_CLIENT = 4,
    BOARD_WAITING = 16,      /* requests, 2.3 KB each: */
    BOARD_WAITING_SMALL = 6, /* without PSRAM */
    BOARD_MODELS = 16,       /* listed at most */

    /* Internal memory that models leave to the heap once everything has started: sockets, and what Wi-Fi takes as it is
     * used. The planner counts the same: shrew/chips/facts.py. */
    BOARD_RESERVE = 48 * 1024,
    BOARD_PSRAM_RESERVE = 64 * 1024, /* and PSRAM: buffers of the web server */
    BOARD_ARENA_PIECES = 4, /* of each kind that models take, the largest first, and the least worth taking */
    BOARD_LEAST_PIECE = 4096,
    BOARD_LINUX_PSRAM = 64 * 1024 * 1024, /* what models have there */

/* The simulated scheduler of Linux knows nothing of the C library's locks: a task that waits there for one of lower
     * priority waits for ever. So all of ours have the web server's. */
#if CONFIG_IDF_TARGET_LINUX
    BOARD_PRIORITY = tskIDLE_PRIORITY + 5,
#else
    BOARD_PRIORITY = tskIDLE_PRIORITY + 4, /* below the web server: what cancels an answer comes through at once */
#endif

    BOARD_CORES = portNUM_PROCESSORS,
    BOARD_ANSWERING_CORE = BOARD_CORES - 1, /* Wi-Fi has the first */

    /* Stacks, in bytes: about one and a half times what an ESP32-C3 image used at most in an emulator, under tests/chat: the main
     * task, whose stack is CONFIG_ESP_MAIN_TASK_STACK_SIZE, 3,252; generate 3,072; jobs 3,116; httpd 4,460. The helper
     * only computes. `status` shows what is used. */
    BOARD_GENERATE_STACK = 5120,
    BOARD_JOBS_STACK = 4864,
    BOARD_SERVER_STACK = 6656,
    BOARD_HELPER_STACK = 4096
};

#endif
