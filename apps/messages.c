/* What people read: errors and logs on standard error. */
#include "app.h"
#include <stdarg.h>

void app_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("duet: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void app_log(void *user, duet_log_level level, const char *module, const char *text)
{
    static const char *const names[] = {"", "error", "warning", "info", "debug"};

    (void)user;
    fprintf(stderr, "duet: %s: %s: %s\n", names[level], module, text);
}
