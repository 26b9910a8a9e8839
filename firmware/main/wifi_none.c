/* Chips without Wi-Fi, and Linux, whose network is the host's. */
#include "wifi.h"

#include <stddef.h>

void wifi_start(void) {}

void wifi_restart(void) {}

wifi_state wifi_now(void) {
    return (wifi_state){.mode = NULL};
}
