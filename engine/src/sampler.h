#ifndef SHREW_SAMPLER_H
#define SHREW_SAMPLER_H

#include "shrew.h"

int shrew_sampling_is_valid(const shrew_sampling *sampling);

#endif
