/* The settings in flash (NVS), and a copy of them in memory. */
#ifndef SHREW_NVS_SETTINGS_H
#define SHREW_NVS_SETTINGS_H

#include "core/settings.h"

/* Reads them; at the first boot, or where they are damaged, makes new ones. */
void settings_start(void);

settings settings_now(void);

/* Keeps them, here and in flash. 0, or -1 where the flash failed: then they hold until the next start. */
int settings_keep(const settings *changed);

#endif
