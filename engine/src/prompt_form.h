/* The form that chat prompts are put in before they are encoded. docs/FORMAT.md, section 9, says how it is stored. */
#ifndef SHREW_PROMPT_FORM_H
#define SHREW_PROMPT_FORM_H

#include <stddef.h>
#include <stdint.h>

/* Checks a section. section: aligned to 4. */
int shrew_prompt_form_check(const uint8_t *section, uint32_t size);

/* Puts a text (any bytes) in the form of a checked section. Writes at most bytes bytes to form, which does not overlap
 * the text, and returns how many. */
size_t shrew_put_in_form(const uint8_t *section, const uint8_t *text, size_t bytes, uint8_t *form);

#endif
