/* What commands do: the table from the text of a command to a pin, a duty cycle or an event. */
#ifndef SHREW_ACTIONS_H
#define SHREW_ACTIONS_H

#include <stddef.h>

#include "esp_event.h"

ESP_EVENT_DECLARE_BASE(SHREW_COMMAND); /* the id is from the table, or 0; the data is the command, NUL-terminated */

void fw_actions_start(void);

/* Does what the table says. A command that is not in the table posts an event with id 0. */
void fw_actions_run(const char *command, size_t bytes);

#endif
