/* For chips without Wi-Fi, and for Linux, which uses the host's network. */
#include "wifi.h"

#include <stddef.h>

#include "sdkconfig.h"
#if CONFIG_IDF_TARGET_LINUX

void fw_wifi_start(void) {}

#else
#include "esp_err.h"
#include "esp_netif.h"

/* Sockets need the network stack. To use Ethernet, start it here. */
void fw_wifi_start(void) {
    ESP_ERROR_CHECK(esp_netif_init());
}

#endif

void fw_wifi_restart(void) {}

wifi_state fw_wifi_now(void) {
    return (wifi_state){.mode = NULL};
}
