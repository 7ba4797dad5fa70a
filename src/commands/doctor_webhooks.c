/* The receivers of messages that .env names: can it be read, and can their hosts be reached? */
#include <string.h>

#include "base/clock.h"
#include "base/wipe.h"
#include "commands/doctor.h"
#include "daemon/message_request.h"
#include "daemon/net_ask.h"
#include "notify/target.h"

enum { WEBHOOK_TIMEOUT_MS = 10 * 1000 };

static void report_all(struct doctor *doctor, enum doctor_status status,
                       const struct diagnostics *diagnostics)
{
    for (unsigned i = 0; i < diagnostics->items->len; i++) {
        const struct diagnostic *item = g_ptr_array_index(diagnostics->items, i);
        if (item->line == 0 && status == DOCTOR_FAIL) {
            doctor_add(doctor, DOCTOR_SKIPPED, "webhook", item->file, NULL,
                       "not read; what is wrong with the file is said above");
            continue;
        }
        g_autofree char *where =
            item->line == 0 ? g_strdup(item->file)
                            : g_strdup_printf("%s:%u:%u", item->file, item->line, item->column);
        doctor_add(doctor, status, "webhook", where, "edit the file; see phantom_ci notify test",
                   "%s", item->message);
    }
}

/* "https://host:port/" of the URL: what is behind it is the receiver's secret, and not needed. */
static char *origin_of(const char *url)
{
    const char *authority = strstr(url, "://") + strlen("://");
    size_t length = strcspn(authority, "/?#");
    const char *at = memchr(authority, '@', length);
    const char *host = at ? at + 1 : authority;
    return g_strdup_printf("%.*s%.*s/", (int)(authority - url), url,
                           (int)(length - (size_t)(host - authority)), host);
}

static void check_host(struct doctor *doctor, const struct target *target)
{
    g_autofree char *host = target_host(target);
    g_autofree char *subject = g_strdup_printf("%s (%s)", target_kind_name(target->kind), host);
    doctor_look_at(doctor, subject);
    if (doctor->offline) {
        doctor_add(doctor, DOCTOR_SKIPPED, "webhook", subject, NULL, "--offline");
        return;
    }
    int timeout_ms = doctor_time_left_ms(doctor, WEBHOOK_TIMEOUT_MS);
    if (timeout_ms == 0) {
        doctor_add(doctor, DOCTOR_SKIPPED, "webhook", subject, NULL, "the time was over");
        return;
    }
    struct net_request request = {.id = g_strdup("1"),
                                  .url = origin_of(target->url),
                                  .method = g_strdup("HEAD"),
                                  .timeout_ms = timeout_ms};
    struct net_answer answer = NET_ANSWER_INIT;
    g_autoptr(GError) error = NULL;
    int64_t begun_ms = clock_monotonic_ms();
    bool answered = net_ask(&request, &answer, &error);
    if (answered && answer.outcome == NET_OUTCOME_HTTP) {
        doctor_add(doctor, DOCTOR_OK, "webhook", subject, NULL,
                   "reached in %" G_GINT64_FORMAT
                   " ms (no message was sent: phantom_ci notify test does that)",
                   clock_monotonic_ms() - begun_ms);
    } else {
        g_autofree char *said =
            answered ? message_answer_describe(&answer, NULL) : g_strdup(error->message);
        const char *why = answered && answer.error && *answer.error ? answer.error : said;
        doctor_add(doctor, DOCTOR_FAIL, "webhook", subject,
                   "check the URL in .env, the network and the proxy variables", "%s", why);
    }
    net_request_clear(&request);
    net_answer_clear(&answer);
}

void doctor_check_webhooks(struct doctor *doctor)
{
    struct diagnostics *errors = diagnostics_new();
    struct diagnostics *warnings = diagnostics_new();
    doctor_look_at(doctor, "webhooks");
    wipe_forbid_dumps();
    g_autoptr(GPtrArray) targets = targets_load(doctor->context->paths.config, errors, warnings);
    report_all(doctor, DOCTOR_FAIL, errors);
    report_all(doctor, DOCTOR_WARN, warnings);
    if (targets && targets->len == 0) {
        doctor_add(doctor, DOCTOR_INFO, "webhook", ".env", NULL,
                   "no receiver of messages is named; nobody is told of failures");
    }
    for (unsigned i = 0; targets && i < targets->len; i++) {
        check_host(doctor, g_ptr_array_index(targets, i));
    }
    diagnostics_free(errors);
    diagnostics_free(warnings);
}
