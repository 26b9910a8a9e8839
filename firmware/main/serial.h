/* Serial input from the device's UART or USB, or stdin. Output goes to stdout. */
#ifndef SHREW_SERIAL_H
#define SHREW_SERIAL_H

#include "sdkconfig.h"

enum {
    SERIAL_NOTHING = -1,
    SERIAL_END = -2, /* the end of stdin */
#if CONFIG_IDF_TARGET_LINUX
    SERIAL_ECHOES = 0 /* the host's terminal echoes */
#else
    SERIAL_ECHOES = 1
#endif
};

void fw_serial_start(void);

/* The next byte, without waiting. */
int fw_serial_read(void);

#endif
