#include "daemon/verdict.h"

#include <stdlib.h>

int64_t verdict_backoff_ms(int attempts, double random)
{
    int64_t first_ms = DELIVERY_FIRST_RETRY_MS;
#ifdef PHANTOM_CI_FAULTS
    const char *given = g_getenv("PHANTOM_CI_TEST_RETRY_MS");
    first_ms = given ? MAX(atoi(given), 1) : first_ms;
#endif
    int doublings = CLAMP(attempts - 1, 0, 20);
    int64_t wait_ms = MIN(first_ms << doublings, (int64_t)DELIVERY_RETRY_CAP_MS);
    return (int64_t)((double)wait_ms * (0.8 + 0.4 * random));
}

static bool may_pass(const struct net_answer *answer)
{
    if (answer->outcome != NET_OUTCOME_HTTP) {
        return answer->outcome != NET_OUTCOME_REFUSED;
    }
    return answer->status == 408 || answer->status == 425 || answer->status == 429 ||
           answer->status >= 500;
}

struct verdict verdict_on_answer(const struct net_answer *answer, int attempts, double random)
{
    struct verdict verdict = {.state = OUTBOX_GIVEN_UP};
    if (answer->rate_remaining == 0 && answer->rate_reset_ms > 0) {
        verdict.pause_ms = MIN(answer->rate_reset_ms, (int64_t)DELIVERY_WAIT_MAX_MS);
    }
    if (answer->outcome == NET_OUTCOME_HTTP && answer->status >= 200 && answer->status < 300) {
        verdict.state = OUTBOX_DELIVERED;
    } else if (may_pass(answer)) {
        verdict.state = OUTBOX_WAITING;
        verdict.wait_ms = answer->retry_after_ms >= 0
                              ? MIN(answer->retry_after_ms, (int64_t)DELIVERY_WAIT_MAX_MS)
                              : verdict_backoff_ms(attempts, random);
        verdict.wait_ms = MAX(verdict.wait_ms, verdict.pause_ms);
    }
    return verdict;
}
