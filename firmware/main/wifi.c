#include "wifi.h"

#include <stdio.h>
#include <string.h>

#include "esp_event.h"
#include "esp_log.h"
#include "esp_mac.h"
#include "esp_netif.h"
#include "esp_timer.h"
#include "esp_wifi.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#if __has_include("mdns.h") /* a registry component, which builds without the registry lack */
#include "mdns.h"
#define HAS_MDNS 1
#define NAME "shrew"
#endif

#include "nvs_settings.h"

static const char TAG[] = "wifi";

enum { ATTEMPTS = 10, CLIENTS = 4, RESTART_US = 1000000 };

static esp_netif_t *station, *access_point;
static wifi_state state;
static SemaphoreHandle_t lock;
static esp_timer_handle_t restart;
static int attempts;

wifi_state fw_wifi_now(void) {
    xSemaphoreTake(lock, portMAX_DELAY);
    const wifi_state copy = state;
    xSemaphoreGive(lock);
    return copy;
}

static void note(const char *mode, const char *ssid, esp_netif_t *interface) {
    esp_netif_ip_info_t ip = {0};
    esp_netif_get_ip_info(interface, &ip);
    xSemaphoreTake(lock, portMAX_DELAY);
    state.mode = mode;
    snprintf(state.ssid, sizeof state.ssid, "%s", ssid);
    snprintf(state.address, sizeof state.address, IPSTR, IP2STR(&ip.ip));
    xSemaphoreGive(lock);
}

static void be_access_point(void) {
    const settings kept = fw_settings_now();
    uint8_t mac[6] = {0};
    esp_read_mac(mac, ESP_MAC_WIFI_SOFTAP);
    wifi_config_t config = {.ap = {.max_connection = CLIENTS, .authmode = WIFI_AUTH_WPA2_WPA3_PSK, .channel = 1}};
    config.ap.pmf_cfg.capable = true;
    const int bytes =
        snprintf((char *)config.ap.ssid, sizeof config.ap.ssid, "shrew-%02x%02x%02x", mac[3], mac[4], mac[5]);
    config.ap.ssid_len = (uint8_t)bytes;
    memcpy(config.ap.password, kept.password, sizeof kept.password);
    ESP_ERROR_CHECK(esp_wifi_set_mode(WIFI_MODE_AP));
    ESP_ERROR_CHECK(esp_wifi_set_config(WIFI_IF_AP, &config));
    ESP_ERROR_CHECK(esp_wifi_start());
    note("ap", (const char *)config.ap.ssid, access_point);
    ESP_LOGI(TAG, "access point %s, password %s, http://192.168.4.1", config.ap.ssid, kept.password);
}

static void join(const settings *kept) {
    wifi_config_t config = {.sta = {.threshold.authmode = WIFI_AUTH_OPEN, .sae_pwe_h2e = WPA3_SAE_PWE_BOTH}};
    memcpy(config.sta.ssid, kept->ssid, strlen(kept->ssid)); /* either may fill its field without a NUL */
    memcpy(config.sta.password, kept->wifi_password, strlen(kept->wifi_password));
    attempts = 0;
    note("station", kept->ssid, station);
    ESP_ERROR_CHECK(esp_wifi_set_mode(WIFI_MODE_STA));
    ESP_ERROR_CHECK(esp_wifi_set_config(WIFI_IF_STA, &config));
    ESP_ERROR_CHECK(esp_wifi_start());
}

static void follow_settings(void *unused) {
    (void)unused;
    const settings kept = fw_settings_now();
    esp_wifi_stop();
    if (*kept.ssid)
        join(&kept);
    else
        be_access_point();
}

static void on_wifi(void *unused, esp_event_base_t base, int32_t event, void *data) {
    (void)unused, (void)base, (void)data;
    wifi_mode_t mode = WIFI_MODE_NULL;
    esp_wifi_get_mode(&mode);
    if (mode != WIFI_MODE_STA)
        return;
    if (event == WIFI_EVENT_STA_START) {
        esp_wifi_connect();
    } else if (event == WIFI_EVENT_STA_DISCONNECTED && ++attempts < ATTEMPTS) {
        ESP_LOGW(TAG, "not connected, attempt %d of %d", attempts, (int)ATTEMPTS);
        esp_wifi_connect();
    } else if (event == WIFI_EVENT_STA_DISCONNECTED) {
        ESP_LOGW(TAG, "the network cannot be joined: access point until the next start");
        esp_wifi_stop();
        be_access_point();
    }
}

static void on_address(void *unused, esp_event_base_t base, int32_t event, void *data) {
    (void)unused, (void)base, (void)event, (void)data;
    const settings kept = fw_settings_now();
    attempts = 0;
    note("station", kept.ssid, station);
    ESP_LOGI(TAG, "joined %s: http://%s", kept.ssid, fw_wifi_now().address);
}

static void announce_name(void) {
#ifdef HAS_MDNS
    if (mdns_init())
        return;
    mdns_hostname_set(NAME);
    xSemaphoreTake(lock, portMAX_DELAY);
    state.name = NAME ".local";
    xSemaphoreGive(lock);
    mdns_instance_name_set("Shrew");
    mdns_service_add(NULL, "_http", "_tcp", 80, NULL, 0);
#endif
}

void fw_wifi_start(void) {
    lock = xSemaphoreCreateMutex();
    ESP_ERROR_CHECK(esp_netif_init());
    station = esp_netif_create_default_wifi_sta();
    access_point = esp_netif_create_default_wifi_ap();
    const wifi_init_config_t defaults = WIFI_INIT_CONFIG_DEFAULT();
    ESP_ERROR_CHECK(esp_wifi_init(&defaults));
    ESP_ERROR_CHECK(esp_wifi_set_storage(WIFI_STORAGE_RAM)); /* our settings are stored elsewhere */
    ESP_ERROR_CHECK(esp_event_handler_register(WIFI_EVENT, ESP_EVENT_ANY_ID, on_wifi, NULL));
    ESP_ERROR_CHECK(esp_event_handler_register(IP_EVENT, IP_EVENT_STA_GOT_IP, on_address, NULL));
    const esp_timer_create_args_t timer = {.callback = follow_settings, .name = "wifi"};
    ESP_ERROR_CHECK(esp_timer_create(&timer, &restart));
    follow_settings(NULL);
    esp_wifi_set_ps(WIFI_PS_NONE); /* a sleeping radio delays tokens */
    announce_name();
}

void fw_wifi_restart(void) {
    esp_timer_start_once(restart, RESTART_US);
}
