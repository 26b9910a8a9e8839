/* What commands do: the one table from the text of a command to a pin, a duty cycle or an event. */
#ifndef SHREW_ACTIONS_H
#define SHREW_ACTIONS_H

#include <stddef.h>

#include "esp_event.h"

ESP_EVENT_DECLARE_BASE(SHREW_COMMAND); /* its id is the one in the table or 0, its data the command with a NUL */

void fw_actions_start(void);

/* Does what the table says; a command that it does not know is an event of id 0. */
void fw_actions_run(const char *command, size_t bytes);

#endif
