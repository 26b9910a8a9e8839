/* The network: an access point of the device's own, or a network that it joins. */
#ifndef SHREW_WIFI_H
#define SHREW_WIFI_H

typedef struct wifi_state {
    const char *mode; /* "ap", "station", NULL: this chip has no Wi-Fi */
    char ssid[33];
    char address[16];
    const char *name; /* by which the network finds it; NULL: this build has no mDNS */
} wifi_state;

/* By the settings. A network that cannot be joined leaves the access point, so that nobody is locked out. */
void fw_wifi_start(void);

/* After the settings changed: leaves one network for the other, in a second, so that an answer can go out before. */
void fw_wifi_restart(void);

wifi_state fw_wifi_now(void);

#endif
