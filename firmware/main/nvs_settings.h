/* The settings in flash (NVS), with a copy in memory. */
#ifndef SHREW_NVS_SETTINGS_H
#define SHREW_NVS_SETTINGS_H

#include "core/settings.h"

#define SETTINGS_NOT_KEPT "flash failed: this holds until the next start"

/* Reads the settings. At the first boot, or if they are damaged, makes new ones. */
void fw_settings_start(void);

settings fw_settings_now(void);

/* Begins a change and returns a copy to edit. Others cannot change the settings until fw_settings_keep or
 * fw_settings_drop. */
settings fw_settings_begin(void);
/* Stores the change in memory and in flash. Returns 0, or -1 if the flash failed; then it lasts until the next
 * start. */
int fw_settings_keep(const settings *changed);
void fw_settings_drop(void);

#endif
