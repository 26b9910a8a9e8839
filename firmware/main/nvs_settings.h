/* The settings in flash (NVS), and a copy of them in memory. */
#ifndef SHREW_NVS_SETTINGS_H
#define SHREW_NVS_SETTINGS_H

#include "core/settings.h"

#define SETTINGS_NOT_KEPT "flash failed: this holds until the next start"

/* Reads them; at the first boot, or where they are damaged, makes new ones. */
void fw_settings_start(void);

settings fw_settings_now(void);

/* A change: a copy to work on, which nobody else changes until fw_settings_keep or fw_settings_drop. */
settings fw_settings_begin(void);
/* Keeps it, here and in flash. 0, or -1 where the flash failed: then it holds until the next start. */
int fw_settings_keep(const settings *changed);
void fw_settings_drop(void);

#endif
