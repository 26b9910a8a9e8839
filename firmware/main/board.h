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

    /* Left alone in internal memory when a session or an image is placed there, which is after all else but the
     * terminal has started: its stack, sockets, and what Wi-Fi takes as it is used. The planner counts the same things:
     * shrew/chips/facts.py. */
    BOARD_RESERVE = 48 * 1024,

    /* The simulated scheduler of Linux knows nothing of the C library's locks: a task that waits there for one of lower
     * priority waits for ever. So all of ours have the web server's. */
#if CONFIG_IDF_TARGET_LINUX
    BOARD_PRIORITY = tskIDLE_PRIORITY + 5,
#else
    BOARD_PRIORITY = tskIDLE_PRIORITY + 4, /* below the web server: what cancels an answer comes through at once */
#endif

    BOARD_CORES = portNUM_PROCESSORS,
    BOARD_ANSWERING_CORE = BOARD_CORES - 1, /* Wi-Fi has the first */
    BOARD_STACK = 8192,      /* of each task: what answers, the web server, uploads, the terminal; */
    BOARD_HELPER_STACK = 4096 /* and of the other core's helper */
};

#endif
