#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static enum error_code code_from_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return ERROR_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
        return ERROR_NO_SPACE;
    case EACCES:
    case EPERM:
    case ELOOP:
        return ERROR_DENIED;
    case EAGAIN:
        return ERROR_BUSY;
    default:
        return ERROR_SYSTEM;
    }
}

bool error_set_errno(GError **error, GQuark domain, int errnum, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *what = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error(error, domain, (int)code_from_errno(errnum), "%s: %s", what, g_strerror(errnum));
    return false;
}

bool error_has_code(const GError *error, enum error_code code)
{
    return error && error->code == (int)code &&
           g_str_has_prefix(g_quark_to_string(error->domain), "phantom-ci-");
}

int error_exit_code(const GError *error)
{
    if (error_has_code(error, ERROR_INVALID)) {
        return EXIT_CODE_CONFIG;
    }
    if (error_has_code(error, ERROR_NOT_FOUND)) {
        return EXIT_CODE_NOT_FOUND;
    }
    if (error_has_code(error, ERROR_BUSY) || error_has_code(error, ERROR_REMOTE) ||
        error_has_code(error, ERROR_NO_SPACE) || error_has_code(error, ERROR_LIMIT)) {
        return EXIT_CODE_TRY_AGAIN;
    }
    return EXIT_CODE_NEGATIVE;
}
