#include "daemon/net_ask.h"

#include "base/clock.h"
#include "base/error.h"
#include "daemon/message_client.h"

enum { PATIENCE_MS = 10 * 1000 };

struct asking {
    struct net_answer *answer;
    bool answered;
    char *lost; /* why there is no answer, or NULL */
};

static void take_answer(const struct net_answer *answer, void *data)
{
    struct asking *asking = data;
    if (!asking->answered) {
        *asking->answer = *answer;
        asking->answer->id = g_strdup(answer->id);
        asking->answer->error = g_strdup(answer->error);
        asking->answer->body = g_memdup2(answer->body, answer->body_length + 1);
        asking->answered = true;
    }
}

static void take_loss(const char *why, void *data)
{
    struct asking *asking = data;
    g_free(asking->lost);
    asking->lost = g_strdup(why);
}

static void wait_for_answer(struct net_client *net, const struct asking *asking, int64_t end_ms)
{
    while (!asking->answered && !asking->lost) {
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
        net_client_add_fds(net, fds);
        struct pollfd *entries = (struct pollfd *)(void *)fds->data;
        int64_t left_ms = end_ms - clock_monotonic_ms();
        if (left_ms <= 0) {
            net_client_abandon(net, "did not answer in time");
        } else if (poll(entries, fds->len, (int)left_ms) > 0) {
            net_client_handle(net, entries, fds->len);
        }
    }
}

bool net_ask(const struct net_request *request, struct net_answer *answer, GError **error)
{
    struct asking asking = {.answer = answer};
    const struct message_client_events events = {take_answer, take_loss, &asking};
    struct net_client *net = message_client_new(&events);
    if (message_client_send(net, request, error)) {
        wait_for_answer(net, &asking, clock_monotonic_ms() + request->timeout_ms + PATIENCE_MS);
        if (!asking.answered) {
            g_set_error(error, NET_ERROR, ERROR_SYSTEM, "%s", asking.lost);
        }
    }
    net_client_free(net);
    g_free(asking.lost);
    return asking.answered;
}
