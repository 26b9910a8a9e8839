#ifndef SHREW_SAMPLING_H
#define SHREW_SAMPLING_H

#include "shrew.h"

/* Whether every option is in its range, and none but the default is asked of what this build leaves out. */
int shrew_sampling_is_valid(const shrew_sampling *sampling);

#endif
