/* The main program of a target that is built without libFuzzer: it replays the inputs that are named. */

#ifdef REPLAY
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **names) {
    for (int at = 1; at < count; at++) {
        static uint8_t buffer[1 << 16];
        FILE *file = fopen(names[at], "rb");
        if (!file) return 2;
        size_t size = fread(buffer, 1, sizeof buffer, file);
        fclose(file);
        uint8_t *data = malloc(size ? size : 1); /* of that size, so that the sanitizer knows its end */
        memcpy(data, buffer, size);
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    printf("%d inputs\n", count - 1);
    return 0;
}
#endif
