/* The port for the host: runs a bundle file and prints its lines. */
#include <stdio.h>
#include <stdlib.h>

#include "jobs.h"

enum { MEMORY_BYTES = 64 << 20 };

static void line(void *context, const char *text, size_t bytes) {
    (void)context;
    fwrite(text, 1, bytes, stdout);
}

int main(int argc, char **argv) {
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!file || fseek(file, 0, SEEK_END)) {
        fprintf(stderr, "usage: host BUNDLE\n");
        return 2;
    }
    const size_t bytes = (size_t)ftell(file);
    rewind(file);
    /* Exactly as large as the bundle, so that a sanitizer detects reads beyond it. */
    void *bundle = malloc(bytes), *memory = malloc(MEMORY_BYTES);
    if (!bundle || !memory || fread(bundle, 1, bytes, file) != bytes) {
        fprintf(stderr, "host: %s cannot be read\n", argv[1]);
        return 2;
    }
    fclose(file);
    const port port = {.line = line, .memory = memory, .memory_bytes = MEMORY_BYTES};
    const int status = jobs_run(&port, bundle, bytes);
    free(memory);
    free(bundle);
    return status;
}
