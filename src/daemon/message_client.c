#include "daemon/message_client.h"

#include "base/wipe.h"

static const char *const environment[] = {
    "LANG",           "TZ",       "SSL_CERT_FILE", "SSL_CERT_DIR",   "http_proxy",  "https_proxy",
    "CURL_CA_BUNDLE", "no_proxy", "all_proxy",     "GIT_SSL_CAINFO", "HTTPS_PROXY", "NO_PROXY",
    "ALL_PROXY",      NULL};

static bool take_message(const struct net_message *message, void *data)
{
    const struct message_client_events *events = data;
    struct net_answer answer = NET_ANSWER_INIT;
    bool good = message->type == NET_ANSWER && net_answer_parse(message, &answer, NULL);
    if (good) {
        events->answered(&answer, events->data);
    }
    net_answer_clear(&answer);
    return good;
}

static void take_loss(const char *why, void *data)
{
    const struct message_client_events *events = data;
    events->lost(why, events->data);
}

struct net_client *message_client_new(const struct message_client_events *events)
{
    const struct net_client_setup setup = {
        .program = "phantom_ci-net",
        .environment = environment,
        .message = take_message,
        .lost = take_loss,
        .data = (void *)events,
    };
    return net_client_new(&setup);
}

bool message_client_send(struct net_client *client, const struct net_request *request,
                         GError **error)
{
    GByteArray *bytes = g_byte_array_new();
    bool good = net_request_encode(bytes, request, error) && net_client_send(client, bytes, error);
    wipe_array_free(&bytes);
    return good;
}
