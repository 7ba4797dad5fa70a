#include "net/looks.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/wipe.h"
#include "net/look.h"
#include "net/sockets.h"
#include "net/wire.h"

enum {
    DESCRIPTORS_WANTED = 2048, /* soft limit */
    LOGIN_MAX_BYTES = NET_HEADER_BYTES + NET_LOGIN_MAX_BYTES,
};

struct looks {
    GByteArray *output;
    struct wire *wire;
    struct look_queue *queue;
    struct look_shared shared;
    GQueue all;       /* of struct look, oldest first */
    GQueue put_off;   /* of struct look: they wait for memory */
    size_t bytes;     /* of all */
    int64_t sweep_ms; /* monotonic: when to look for late ones */
    int login_fd;     /* -1: there are no logins */
    uint8_t login[LOGIN_MAX_BYTES];
    size_t login_length;
};

/* ---------------------------------------------------------------------------------------- life */

int looks_prepare(void)
{
    struct rlimit limit;
    struct stat status;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_WANTED) {
        limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)DESCRIPTORS_WANTED);
        setrlimit(RLIMIT_NOFILE, &limit); /* if not, there are fewer looks at once */
    }
#ifdef __GLIBC__
    /* Threads of the resolver would each keep a heap of their own. */
    mallopt(M_ARENA_MAX, 1);
#endif
    bool is_pipe = fstat(NET_LOGIN_FD, &status) == 0 && S_ISFIFO(status.st_mode);
    return is_pipe && fd_set_nonblocking(NET_LOGIN_FD, true, NULL) ? NET_LOGIN_FD : -1;
}

/* One is for a connection, and as many for what is opened to make it. */
static unsigned at_once(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 16;
    }
    rlim_t left = limit.rlim_cur > WIRE_IDLE_MAX + 64 ? limit.rlim_cur - WIRE_IDLE_MAX : 64;
    return (unsigned)MIN(left / 3, (rlim_t)LOOKS_AT_ONCE);
}

struct looks *looks_new(GByteArray *output, int login_fd, GError **error)
{
    struct wire *wire = wire_new(error);
    if (!wire) {
        return NULL;
    }
    struct looks *looks = g_new0(struct looks, 1);
    looks->output = output;
    looks->wire = wire;
    looks->login_fd = login_fd;
    looks->queue = look_queue_new(at_once());
    looks->shared.setups = look_setups_new();
    looks->shared.logins = look_logins_new();
    looks->shared.large_left = LOOK_LARGE_AT_ONCE;
    g_queue_init(&looks->all);
    g_queue_init(&looks->put_off);
    return looks;
}

/* As many as there is memory for now. */
static void call_back(struct looks *looks)
{
    while (looks->shared.large_left > 0 && looks->put_off.head) {
        struct look *look = g_queue_pop_head(&looks->put_off);
        look_allow_large(look);
        look_queue_call_back(looks->queue, look_ticket(look));
    }
}

/* Not to be begun before a large one has gone; the last of them may have gone since this look was
 * stopped. */
static void put_off(struct looks *looks, struct look *look)
{
    look_queue_put_off(looks->queue, look_ticket(look));
    g_queue_push_tail(&looks->put_off, look);
    call_back(looks);
}

/* Wherever it is. */
static void drop(struct looks *looks, struct look *look)
{
    CURL *handle = look_handle(look);
    if (handle) {
        wire_remove(looks->wire, handle);
    }
    if (look_ticket(look)->turn == LOOK_TURN_PUT_OFF) {
        g_queue_remove(&looks->put_off, look);
    }
    look_queue_leave(looks->queue, look_ticket(look));
    g_queue_unlink(&looks->all, look_link(look));
    looks->bytes -= look_size_bytes(look);
    bool was_large = look_is_large(look);
    look_free(look);
    if (was_large) {
        call_back(looks);
#ifdef __GLIBC__
        malloc_trim(0);
#endif
    }
}

void looks_free(struct looks *looks)
{
    if (!looks) {
        return;
    }
    while (looks->all.head) {
        drop(looks, looks->all.head->data);
    }
    wire_free(looks->wire);
    look_queue_free(looks->queue);
    look_setups_free(looks->shared.setups);
    look_logins_free(looks->shared.logins);
    wipe_bytes(looks->login, sizeof(looks->login));
    g_free(looks);
}

/* ------------------------------------------------------------------------------------- answers */

static void answer(struct looks *looks, struct look *look)
{
    if (fault_point("net.refs") == 0) {
        look_answer(look, looks->output);
    }
    drop(looks, look);
}

static void refuse(struct looks *looks, char *id, const char *why)
{
    struct net_looked looked = NET_LOOKED_INIT;
    looked.id = id;
    looked.outcome = NET_LOOK_REFUSED;
    looked.error = (char *)why;
    net_looked_encode(looks->output, &looked);
}

static void begin(struct looks *looks, struct look *look)
{
    CURLcode code = CURLE_OUT_OF_MEMORY;
    CURL *handle = look_begin(look, &code);
    if (!handle || !wire_add(looks->wire, handle)) {
        look_fail(look, code == CURLE_OK ? CURLE_OUT_OF_MEMORY : code);
        answer(looks, look);
    }
}

static void begin_waiting(struct looks *looks)
{
    struct look_ticket *ticket;
    while ((ticket = look_queue_pop(looks->queue))) {
        begin(looks, ticket->link.data);
    }
}

static void take_done(struct looks *looks)
{
    CURLcode code = CURLE_OK;
    CURL *handle;
    while ((handle = wire_next_done(looks->wire, &code))) {
        struct look *look = look_of_handle(handle);
        switch (look_done(look, code)) {
        case LOOK_NEXT_ASK:
            begin(looks, look);
            break;
        case LOOK_NEXT_PUT_OFF:
            put_off(looks, look);
            break;
        case LOOK_NEXT_ANSWER:
            answer(looks, look);
            break;
        }
    }
}

static void end_late(struct looks *looks)
{
    int64_t now_ms = clock_monotonic_ms();
    if (!looks->all.head || now_ms < looks->sweep_ms) {
        return;
    }
    looks->sweep_ms = now_ms + LOOK_LOW_SPEED_MS;
    GList *next;
    for (GList *link = looks->all.head; link; link = next) {
        next = link->next;
        if (look_is_late(link->data, now_ms, &looks->sweep_ms)) {
            look_time_out(link->data, now_ms);
            answer(looks, link->data);
        }
    }
}

/* ------------------------------------------------------------------------------------ messages */

static void add(struct looks *looks, struct net_look *request)
{
    g_autoptr(GError) error = NULL;
    int64_t now_ms = clock_monotonic_ms();
    struct look *look = look_new(request, &looks->shared, now_ms, &error);
    if (!look) {
        refuse(looks, request->id, error->message);
        return;
    }
    if (!looks->all.head) {
        looks->sweep_ms = now_ms + LOOK_LOW_SPEED_MS;
    }
    look_is_late(look, now_ms, &looks->sweep_ms);
    g_queue_push_tail_link(&looks->all, look_link(look));
    looks->bytes += look_size_bytes(look);
    if (look_is_for_git(look)) {
        answer(looks, look);
    } else {
        look_queue_push(looks->queue, look_ticket(look), look_origin(look), look_at_once(look),
                        now_ms);
    }
}

static bool take_look(struct looks *looks, const struct net_message *message, GError **error)
{
    struct net_look request;
    g_autoptr(GError) problem = NULL;
    if (net_look_parse(message, &request, &problem)) {
        int fault = fault_point("net.look");
        if (fault) {
            refuse(looks, request.id, g_strerror(fault));
        } else {
            add(looks, &request);
        }
    } else if (request.id) {
        refuse(looks, request.id, problem->message);
    } else {
        g_propagate_error(error, g_steal_pointer(&problem));
        return false;
    }
    net_look_clear(&request);
    return true;
}

static void cancel(struct looks *looks, const char *id)
{
    GList *next;
    for (GList *link = looks->all.head; link; link = next) {
        next = link->next;
        if (strcmp(look_id(link->data), id) == 0) {
            drop(looks, link->data);
        }
    }
}

static bool take(void *role, const struct net_message *message, GError **error)
{
    struct looks *looks = role;
    if (message->type == NET_LOOK) {
        return take_look(looks, message, error);
    }
    g_autofree char *id = net_cancel_parse(message, error);
    if (id) {
        cancel(looks, id);
    }
    return id != NULL;
}

/* -------------------------------------------------------------------------------------- logins */

static bool take_login(struct looks *looks, const struct net_message *message, GError **error)
{
    struct net_login login;
    if (!net_login_parse(message, &login, error)) {
        return false;
    }
    bool good = look_logins_set(looks->shared.logins, &login, error);
    net_login_clear(&login);
    return good;
}

static bool take_logins(struct looks *looks, GError **error)
{
    for (;;) {
        struct net_message message;
        size_t used = 0;
        enum net_decode result =
            net_decode(looks->login, looks->login_length, NET_TO_NET, &message, &used, error);
        if (result == NET_INCOMPLETE) {
            return true;
        }
        if (result == NET_BROKEN || !take_login(looks, &message, error)) {
            return false;
        }
        looks->login_length -= used;
        memmove(looks->login, looks->login + used, looks->login_length);
        wipe_bytes(looks->login + looks->login_length, used);
    }
}

/* All that is there. What was written before a look was sent counts for that look: so this comes
 * before any look begins. */
static bool read_logins(struct looks *looks, GError **error)
{
    while (looks->login_fd >= 0) {
        ssize_t got = fd_read(looks->login_fd, looks->login + looks->login_length,
                              sizeof(looks->login) - looks->login_length);
        if (got < 0) {
            return errno == EAGAIN ||
                   error_set_errno(error, NET_ERROR, errno, "cannot read logins");
        }
        if (got == 0) {
            looks->login_fd = -1; /* left open: another descriptor must not become NET_LOGIN_FD */
            return true;
        }
        looks->login_length += (size_t)got;
        if (!take_logins(looks, error)) {
            g_prefix_error(error, "from descriptor %d: ", NET_LOGIN_FD);
            return false;
        }
    }
    return true;
}

/* ---------------------------------------------------------------------------------------- work */

static bool has_room(const void *role)
{
    const struct looks *looks = role;
    return looks->all.length < LOOKS_MAX && looks->bytes < LOOKS_MAX_BYTES;
}

static unsigned pending(const void *role)
{
    const struct looks *looks = role;
    return looks->all.length;
}

static bool wait_for_work(void *role, struct pollfd *fds, unsigned count, int64_t timeout_ms,
                          bool answers_wait, GError **error)
{
    struct looks *looks = role;
    struct pollfd all[SESSION_FDS + 1];
    if (look_queue_waiting(looks->queue) > 0 && !answers_wait) {
        if (!read_logins(looks, error)) {
            return false;
        }
        begin_waiting(looks);
    }
    if (looks->all.head) {
        int64_t left_ms = clock_left_ms(looks->sweep_ms);
        timeout_ms = MIN(timeout_ms, left_ms);
    }
    memcpy(all, fds, count * sizeof(*fds));
    all[count] = (struct pollfd){.fd = looks->login_fd, .events = POLLIN};
    if (!wire_wait(looks->wire, all, count + 1, timeout_ms, error)) {
        return false;
    }
    memcpy(fds, all, count * sizeof(*fds));
    if (all[count].revents != 0 && !read_logins(looks, error)) {
        return false;
    }
    take_done(looks);
    end_late(looks);
    return true;
}

const struct session_role looks_role = {
    .take = take,
    .has_room = has_room,
    .pending = pending,
    .wait = wait_for_work,
};
