/* Bytes from whoever sits at the device: its UART, its USB, or stdin. Output is stdout's. */
#ifndef SHREW_SERIAL_H
#define SHREW_SERIAL_H

#include "sdkconfig.h"

enum {
    SERIAL_NOTHING = -1,
    SERIAL_END = -2, /* of stdin */
#if CONFIG_IDF_TARGET_LINUX
    SERIAL_ECHOES = 0 /* the host's terminal does */
#else
    SERIAL_ECHOES = 1
#endif
};

void fw_serial_start(void);

/* The next byte, without waiting. */
int fw_serial_read(void);

#endif
