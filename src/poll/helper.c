#include "poll/helper.h"

#include "base/clock.h"
#include "base/error.h"
#include "git/refset.h"
#include "net/client.h"

enum { PAUSE_FIRST_MS = 200, PAUSE_MAX_MS = 60 * 1000 };

struct pending {
    char *id;
    void *owner;
    bool knows;       /* the look named a digest, so that the answer may be "the same" */
    GHashTable *refs; /* as far as they have come; NULL = none */
};

struct helper {
    struct helper_setup setup;
    struct net_client *client;
    GHashTable *by_id;    /* -> struct pending *, owned */
    GHashTable *by_owner; /* -> the same */
    GByteArray *scratch;
    uint64_t last_id;
    unsigned losses; /* in a row, without an answer between them */
    int64_t ready_ms;
};

static void pending_free(void *data)
{
    struct pending *pending = data;
    g_clear_pointer(&pending->refs, g_hash_table_unref);
    g_free(pending->id);
    g_free(pending);
}

static struct pending *find_pending(const struct helper *helper, const struct net_field *id)
{
    char text[NET_ID_MAX_BYTES + 1];
    if (id->length > NET_ID_MAX_BYTES) {
        return NULL;
    }
    memcpy(text, id->bytes, id->length);
    text[id->length] = '\0';
    return g_hash_table_lookup(helper->by_id, text);
}

/* ------------------------------------------------------------------------------- answers */

/* A part of the refs of a look that is not under way any more is passed over. */
static bool take_refs(struct helper *helper, const struct net_message *message)
{
    struct pending *pending = find_pending(helper, &message->fields[0]);
    if (!pending) {
        return true;
    }
    if (!pending->refs) {
        pending->refs = refset_new();
    }
    g_autofree char *id = net_refs_parse(message, pending->refs, NULL);
    return id != NULL;
}

/* True when outcome, digest and the refs that came fit together. */
static bool is_consistent(const struct pending *pending, const struct net_looked *looked)
{
    if (looked->outcome != NET_LOOK_REFS) {
        return !pending->refs && (looked->outcome != NET_LOOK_SAME || pending->knows);
    }
    g_autofree char *digest = refset_digest(pending->refs);
    return g_strcmp0(digest, looked->digest) == 0;
}

static bool take_looked(struct helper *helper, const struct net_message *message)
{
    struct net_looked looked = NET_LOOKED_INIT;
    if (!net_looked_parse(message, &looked, NULL)) {
        return false;
    }
    struct pending *pending = g_hash_table_lookup(helper->by_id, looked.id);
    bool good = true;
    if (pending) {
        if (looked.outcome == NET_LOOK_REFS && !pending->refs) {
            pending->refs = refset_new();
        }
        good = is_consistent(pending, &looked);
    }
    if (pending && good) {
        void *owner = pending->owner;
        g_autoptr(GHashTable) refs = g_steal_pointer(&pending->refs);
        g_hash_table_remove(helper->by_owner, owner);
        g_hash_table_remove(helper->by_id, looked.id);
        helper->losses = 0;
        helper->setup.answered(owner, &looked, refs, helper->setup.data);
    }
    net_looked_clear(&looked);
    return good;
}

static bool take_message(const struct net_message *message, void *data)
{
    switch (message->type) {
    case NET_REFS:
        return take_refs(data, message);
    case NET_LOOKED:
        return take_looked(data, message);
    case NET_REQUEST:
    case NET_CANCEL:
    case NET_ANSWER:
    case NET_LOOK:
    case NET_LOGIN:
        break;
    }
    return false;
}

/* -------------------------------------------------------------------------------- losses */

static void note_loss(struct helper *helper)
{
    helper->losses++;
    int64_t pause_ms = 0;
    for (unsigned i = 1; i < helper->losses && pause_ms < PAUSE_MAX_MS; i++) {
        pause_ms = pause_ms > 0 ? 2 * pause_ms : PAUSE_FIRST_MS;
    }
    helper->ready_ms = clock_monotonic_ms() + MIN(pause_ms, PAUSE_MAX_MS);
}

static void take_loss(const char *why, void *data)
{
    struct helper *helper = data;
    if (g_hash_table_size(helper->by_id) == 0) {
        return; /* it had nothing to do and has ended by itself */
    }
    GHashTable *lost = g_steal_pointer(&helper->by_id);
    helper->by_id = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, pending_free);
    g_hash_table_remove_all(helper->by_owner);
    note_loss(helper);
    GHashTableIter iterator;
    void *value = NULL;
    g_hash_table_iter_init(&iterator, lost);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        helper->setup.lost(((struct pending *)value)->owner, why, helper->setup.data);
    }
    g_hash_table_unref(lost);
}

void helper_give_up(struct helper *helper)
{
    net_client_abandon(helper->client, "did not answer in time");
    take_loss("the helper program is gone", helper); /* whatever was still under way */
}

/* ---------------------------------------------------------------------------------- looks */

int64_t helper_ready_ms(const struct helper *helper)
{
    return helper->ready_ms;
}

static void remember(struct helper *helper, void *owner, char *id, bool knows)
{
    struct pending *pending = g_new0(struct pending, 1);
    pending->id = id;
    pending->owner = owner;
    pending->knows = knows;
    g_hash_table_insert(helper->by_id, pending->id, pending);
    g_hash_table_insert(helper->by_owner, owner, pending);
}

bool helper_begin(struct helper *helper, void *owner, const struct net_look *look, GError **error)
{
    struct net_look numbered = *look;
    g_autofree char *id = g_strdup_printf("%" G_GUINT64_FORMAT, ++helper->last_id);
    numbered.id = id;
    g_byte_array_set_size(helper->scratch, 0);
    if (!net_look_encode(helper->scratch, &numbered, error)) {
        return false;
    }
    if (!net_client_send(helper->client, helper->scratch, error)) {
        note_loss(helper);
        return false;
    }
    remember(helper, owner, g_steal_pointer(&id), look->known && *look->known);
    return true;
}

void helper_drop(struct helper *helper, void *owner)
{
    struct pending *pending = g_hash_table_lookup(helper->by_owner, owner);
    if (!pending) {
        return;
    }
    g_byte_array_set_size(helper->scratch, 0);
    net_cancel_encode(helper->scratch, pending->id);
    net_client_send(helper->client, helper->scratch, NULL);
    g_hash_table_remove(helper->by_owner, owner);
    g_hash_table_remove(helper->by_id, pending->id);
}

void helper_set_arguments(struct helper *helper, const char *const *arguments)
{
    net_client_set_arguments(helper->client, arguments);
    net_client_abandon(helper->client, "is started anew with other settings");
    helper->losses = 0;
    helper->ready_ms = 0;
}

void helper_add_fds(struct helper *helper, GArray *pollfds)
{
    net_client_add_fds(helper->client, pollfds);
}

void helper_handle(struct helper *helper, const struct pollfd *fds, unsigned count)
{
    net_client_handle(helper->client, fds, count);
}

/* ----------------------------------------------------------------------------- life cycle */

static int pass_fd(void *data)
{
    struct helper *helper = data;
    return helper->setup.pass_fd ? helper->setup.pass_fd(helper->setup.data) : -1;
}

struct helper *helper_new(const struct helper_setup *setup)
{
    struct helper *helper = g_new0(struct helper, 1);
    helper->setup = *setup;
    helper->by_id = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, pending_free);
    helper->by_owner = g_hash_table_new(NULL, NULL);
    helper->scratch = g_byte_array_new();
    const struct net_client_setup client = {
        .program = setup->program,
        .arguments = setup->arguments,
        .environment = setup->environment,
        .pass_fd = pass_fd,
        .message = take_message,
        .lost = take_loss,
        .data = helper,
    };
    helper->client = net_client_new(&client);
    return helper;
}

void helper_free(struct helper *helper)
{
    if (helper) {
        net_client_free(helper->client);
        g_hash_table_unref(helper->by_id);
        g_hash_table_unref(helper->by_owner);
        g_byte_array_unref(helper->scratch);
        g_free(helper);
    }
}
