/* Chips without Wi-Fi, and Linux, whose network is the host's. */
#include "wifi.h"

#include <stddef.h>

#include "sdkconfig.h"
#if CONFIG_IDF_TARGET_LINUX

void fw_wifi_start(void) {}

#else
#include "esp_err.h"
#include "esp_netif.h"

/* Sockets need it; an Ethernet of yours would come in here. */
void fw_wifi_start(void) {
    ESP_ERROR_CHECK(esp_netif_init());
}

#endif

void fw_wifi_restart(void) {}

wifi_state fw_wifi_now(void) {
    return (wifi_state){.mode = NULL};
}
