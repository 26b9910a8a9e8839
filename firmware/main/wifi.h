/* Wi-Fi: the device's own access point, or a network that it joins. */
#ifndef SHREW_WIFI_H
#define SHREW_WIFI_H

typedef struct wifi_state {
    const char *mode; /* "ap", "station", NULL: this chip has no Wi-Fi */
    char ssid[33];
    char address[16];
    const char *name; /* the mDNS host name; NULL: this build has no mDNS */
} wifi_state;

/* Starts Wi-Fi as the settings say. If the network cannot be joined, the access point stays available, so that nobody
 * is locked out. */
void fw_wifi_start(void);

/* Call after the settings have changed. Switches networks after a second, so that a response can still be sent. */
void fw_wifi_restart(void);

wifi_state fw_wifi_now(void);

#endif
