#include "net/messages.h"

#include "base/fault.h"
#include "net/http.h"

struct messages {
    struct http *http;
    GByteArray *output;
};

static void send_answer(const struct net_answer *answer, void *user)
{
    struct messages *messages = user;
    if (fault_point("net.answer") == 0) {
        net_answer_encode(messages->output, answer);
    }
}

static void refuse_request(struct messages *messages, const char *id, const char *why)
{
    struct net_answer answer = NET_ANSWER_INIT;
    answer.id = (char *)id;
    answer.outcome = NET_OUTCOME_REFUSED;
    answer.error = (char *)why;
    send_answer(&answer, messages);
}

static bool take_request(struct messages *messages, const struct net_message *message,
                         GError **error)
{
    struct net_request request;
    g_autoptr(GError) problem = NULL;
    if (net_request_parse(message, &request, &problem)) {
        int fault = fault_point("net.request");
        if (fault) {
            refuse_request(messages, request.id, g_strerror(fault));
        } else {
            http_add(messages->http, &request);
        }
    } else if (request.id) {
        refuse_request(messages, request.id, problem->message);
    } else {
        g_propagate_error(error, g_steal_pointer(&problem));
        return false;
    }
    net_request_clear(&request);
    return true;
}

static bool take(void *role, const struct net_message *message, GError **error)
{
    struct messages *messages = role;
    if (message->type == NET_REQUEST) {
        return take_request(messages, message, error);
    }
    g_autofree char *id = net_cancel_parse(message, error);
    if (id) {
        http_cancel(messages->http, id);
    }
    return id != NULL;
}

static bool has_room(const void *role)
{
    const struct messages *messages = role;
    return http_has_room(messages->http);
}

static unsigned pending(const void *role)
{
    const struct messages *messages = role;
    return http_pending(messages->http);
}

/* What is on its way is bounded by itself, and an answer is short: those that wait hold nothing
 * up. */
static bool wait_for_work(void *role, struct pollfd *fds, unsigned count, int64_t timeout_ms,
                          bool answers_wait, GError **error)
{
    struct messages *messages = role;
    (void)answers_wait;
    return http_wait(messages->http, fds, count, timeout_ms, error);
}

const struct session_role messages_role = {
    .take = take,
    .has_room = has_room,
    .pending = pending,
    .wait = wait_for_work,
};

struct messages *messages_new(GByteArray *output, GError **error)
{
    struct messages *messages = g_new0(struct messages, 1);
    messages->output = output;
    messages->http = http_new(send_answer, messages, error);
    if (!messages->http) {
        g_clear_pointer(&messages, g_free);
    }
    return messages;
}

void messages_free(struct messages *messages)
{
    if (messages) {
        http_free(messages->http);
        g_free(messages);
    }
}
