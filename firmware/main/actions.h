/* What commands do: the one table from the text of a command to a pin, a duty cycle or an event. */
#ifndef SHREW_ACTIONS_H
#define SHREW_ACTIONS_H

#include <stddef.h>

#include "esp_event.h"

ESP_EVENT_DECLARE_BASE(SHREW_COMMAND); /* its id is the one in the table, its data the command with a NUL */

void actions_start(void);

/* Does what the table says. 0 where the table does not know the command: then nothing happens. */
int actions_run(const char *command, size_t bytes);

#endif
