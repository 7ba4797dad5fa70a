#include "job/ledger.h"

#include "base/clock.h"
#include "base/error.h"
#include "store/reserve.h"

static bool write_together(struct store *store, bool (*write)(void *data, GError **error),
                           void *data, GError **error)
{
    bool good = store_begin(store, error) && write(data, error) && store_commit(store, error);
    if (!good) {
        store_rollback(store);
    }
    return good;
}

bool ledger_insist(const struct paths *paths, struct store *store,
                   bool (*write)(void *data, GError **error), void *data, GError **error)
{
    int64_t give_up_ms = clock_monotonic_ms() + LEDGER_PATIENCE_MS;
    for (;;) {
        g_autoptr(GError) local = NULL;
        if (write_together(store, write, data, &local)) {
            return true;
        }
        bool no_space = error_has_code(local, ERROR_NO_SPACE);
        bool passing = no_space || error_has_code(local, ERROR_BUSY);
        if (!passing || clock_monotonic_ms() >= give_up_ms) {
            g_propagate_error(error, g_steal_pointer(&local));
            return false;
        }
        if (!no_space || !store_reserve_release(paths->state)) {
            g_usleep(LEDGER_RETRY_MS * 1000);
        }
    }
}
