/* Conversations with git-upload-pack itself, of every version and object format; `git ls-remote`
 * says what is right. */
#include <fcntl.h>
#include <poll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "git_fixture.h"
#include "lsrefs_fixture.h"

enum { LIMIT_MS = 60000 };

static const char *const formats[] = {"sha1", "sha256"};

struct conversation {
    pid_t pid;
    int to_fd, from_fd;
    struct lsrefs *parser;
};

static void start(struct conversation *talk, const struct fixture *fixture, const char *repository,
                  int version, const char *const *wanted)
{
    int to[2], from[2];
    GError *error = NULL;
    g_assert_true(fd_pipe(to, &error) && fd_pipe(from, &error));
    g_assert_no_error(error);
    g_autofree char *protocol = g_strdup_printf("version=%d", version);
    g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "GIT_PROTOCOL", protocol, TRUE);
    const char *const argv[] = {"git", "upload-pack", "--strict", repository, NULL};
    struct spawn_options options = SPAWN_OPTIONS_INIT;
    options.argv = argv;
    options.envp = (const char *const *)environment;
    options.directory = fixture->root;
    options.stdin_fd = to[0];
    options.stdout_fd = from[1];
    options.new_session = true;
    options.parent_death_signal = SIGKILL;
    talk->pid = spawn_start(&options, NULL, &error);
    g_assert_no_error(error);
    talk->to_fd = to[1];
    talk->from_fd = from[0];
    fd_close(&to[0]);
    fd_close(&from[1]);
    g_assert_true(fd_set_nonblocking(talk->to_fd, true, &error));
    talk->parser = lsrefs_new(LSREFS_PIPE, wanted);
}

/* Writes and reads at once, as the header asks for, until the answer is there or the server's end.
 * `when_asked`: only when the parser says that the command may be sent. */
static void talk(struct conversation *talk, const GByteArray *request, bool when_asked)
{
    int64_t end = clock_monotonic_ms() + LIMIT_MS;
    size_t written = 0;
    for (;;) {
        bool may_write = !when_asked || lsrefs_next(talk->parser) == LSREFS_NEXT_COMMAND;
        struct pollfd fds[2] = {
            {.fd = talk->from_fd, .events = POLLIN},
            {.fd = may_write && written < request->len ? talk->to_fd : -1, .events = POLLOUT}};
        g_assert_cmpint(clock_monotonic_ms(), <, end);
        g_assert_cmpint(poll(fds, 2, 1000), >=, 0);
        if (fds[1].revents) {
            ssize_t got = write(talk->to_fd, request->data + written, request->len - written);
            written = got >= 0 ? written + (size_t)got : errno == EPIPE ? request->len : written;
        }
        if (!fds[0].revents) {
            continue;
        }
        uint8_t bytes[4096];
        GError *error = NULL;
        ssize_t got = fd_read(talk->from_fd, (char *)bytes, sizeof(bytes));
        g_assert_cmpint(got, >=, 0);
        if (got == 0 || !lsrefs_take(talk->parser, bytes, (size_t)got, &error) ||
            lsrefs_is_done(talk->parser)) {
            g_assert_no_error(error);
            return;
        }
    }
}

/* Closes the pipes and reaps; the exit status. */
static int hang_up(struct conversation *talk, struct reading *reading)
{
    int status = 0;
    *reading = (struct reading){.version = -1};
    reading_finish(reading, talk->parser);
    lsrefs_free(talk->parser);
    fd_close(&talk->to_fd);
    fd_close(&talk->from_fd);
    while (waitpid(talk->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

static int converse(struct reading *reading, const struct fixture *fixture, const char *repository,
                    int version, const char *const *wanted, const char *format, bool when_asked)
{
    struct conversation conversation;
    g_autoptr(GByteArray) request = lsrefs_request(wanted, format);
    start(&conversation, fixture, repository, version, wanted);
    talk(&conversation, request, when_asked);
    return hang_up(&conversation, reading);
}

/* One POST to a stateless server, as git-http-backend runs it, or its advertisement. */
static void post(struct reading *reading, const struct fixture *fixture, const char *repository,
                 int version, enum lsrefs_form form, const char *format)
{
    g_autoptr(GByteArray) request = lsrefs_request(all_refs, format);
    g_autofree char *protocol = g_strdup_printf("version=%d", version);
    g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "GIT_PROTOCOL", protocol, TRUE);
    const char *const argv[] = {
        "git", "upload-pack",
        form == LSREFS_ANSWER ? "--stateless-rpc" : "--http-backend-info-refs", repository, NULL};
    struct spawn_run_options options = {.spawn = SPAWN_OPTIONS_INIT,
                                        .input = (const char *)request->data,
                                        .input_length = request->len,
                                        .out_limit_bytes = 1 << 20,
                                        .err_limit_bytes = 1 << 16,
                                        .timeout_ms = LIMIT_MS,
                                        .cancel_fd = -1};
    options.spawn.argv = argv;
    options.spawn.envp = (const char *const *)environment;
    options.spawn.directory = fixture->root;
    struct spawn_result result = {0};
    GError *error = NULL;
    spawn_run(&options, &result, &error);
    g_assert_no_error(error);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    if (form == LSREFS_ADVERTISEMENT && version < 2) {
        static const char service[] = "# service=git-upload-pack\n";
        pktline_append(bytes, service, strlen(service));
        pktline_append_special(bytes, PKTLINE_FLUSH);
    }
    g_byte_array_append(bytes, (const guint8 *)result.out, (guint)result.out_length);
    read_in_pieces(reading, form, (const char *)bytes->data, bytes->len, 1000, all_refs);
    spawn_result_clear(&result);
}

/* A repository with a branch, tags of every kind, and refs that nobody asks for. */
static void make_repository(const struct fixture *fixture, const char *format)
{
    g_free(
        sh(fixture->root,
           "git init -q --bare --object-format=%s %s; cd %s;"
           "tree=$(git mktree </dev/null); one=$(git commit-tree -m one $tree);"
           "two=$(git commit-tree -m two -p $one $tree);"
           "git update-ref refs/heads/main $two; git update-ref refs/heads/topic/x $one;"
           "git update-ref refs/pull/1/head $one; git update-ref refs/notes/n $one;"
           "git tag light $one; git tag -a -m v1 v1 $two; git tag -a -m n nested v1 2>/dev/null;"
           "git tag -a -m t tree $tree; git pack-refs --all; git update-ref refs/heads/main $one",
           format, format, format));
}

/* What `git ls-remote` tells, in the form of a reading's refs. */
static char *refs_of_git(const struct fixture *fixture, const char *repository)
{
    g_autofree char *out = sh(fixture->root, "git ls-remote ./%s", repository);
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
    g_autoptr(GHashTable) refs = refset_new();
    for (char **line = lines; *line && **line; line++) {
        g_auto(GStrv) parts = g_strsplit(*line, "\t", 2);
        size_t length = strlen(parts[1]);
        length -= g_str_has_suffix(parts[1], "^{}") ? 3 : 0;
        g_assert_true(refset_add(refs, NULL, parts[1], length, parts[0], strlen(parts[0])));
    }
    return format_refs(refs);
}

static void pipe__every_version_and_format__gives_what_git_gives(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        make_repository(&fixture, formats[i]);
        g_autofree char *expected = refs_of_git(&fixture, formats[i]);
        assert_contains(expected, "refs/tags/nested ");
        for (int version = 0; version <= 2; version++) {
            for (int when_asked = 0; when_asked <= (version == 2); when_asked++) {
                struct reading reading;
                int status = converse(&reading, &fixture, formats[i], version, all_refs, formats[i],
                                      when_asked);
                g_assert_no_error(reading.error);
                g_assert_cmpstr(reading.refs, ==, expected);
                g_assert_cmpstr(reading.format, ==, formats[i]);
                g_assert_cmpint(reading.version, ==, version);
                g_assert_true(reading.done);
                /* A server of version 0 or 1 may die of the command; its refs are all told. */
                g_assert_true(status == 0 || version < 2);
                reading_clear(&reading);
            }
        }
    }
    fixture_clear(&fixture);
}

static void pipe__other_object_format__is_asked_again_with_the_right_one(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        struct reading reading;
        make_repository(&fixture, formats[i]);
        converse(&reading, &fixture, formats[i], 2, all_refs, formats[1 - i], false);
        g_assert_null(reading.refs);
        g_assert_cmpint(reading.error->code, ==, ERROR_REMOTE);
        g_assert_cmpint(reading.next, ==, LSREFS_NEXT_COMMAND);
        g_assert_cmpstr(reading.format, ==, formats[i]);
        g_autofree char *format = g_strdup(reading.format);
        reading_clear(&reading);
        converse(&reading, &fixture, formats[i], 2, all_refs, format, false);
        g_assert_no_error(reading.error);
        reading_clear(&reading);
    }
    fixture_clear(&fixture);
}

/* What is sent to a server that was of version 0 before. */
static void pipe__flush_packet__ends_every_version_in_peace(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    make_repository(&fixture, "sha1");
    g_autoptr(GByteArray) flush = g_byte_array_new();
    pktline_append_special(flush, PKTLINE_FLUSH);
    for (int version = 0; version <= 2; version++) {
        struct conversation conversation;
        struct reading reading;
        start(&conversation, &fixture, "sha1", version, all_refs);
        talk(&conversation, flush, false);
        g_assert_cmpint(hang_up(&conversation, &reading), ==, 0);
        g_assert_true((reading.refs == NULL) == (version == 2));
        g_assert_cmpint(reading.next, ==, version == 2 ? LSREFS_NEXT_COMMAND : LSREFS_NEXT_NOTHING);
        reading_clear(&reading);
    }
    fixture_clear(&fixture);
}

static void pipe__repository_without_commits__has_no_refs(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_free(sh(fixture.root, "git init -q --bare --object-format=%s empty-%s", formats[i],
                  formats[i]));
        g_autofree char *name = g_strconcat("empty-", formats[i], NULL);
        for (int version = 0; version <= 2; version++) {
            struct reading reading;
            converse(&reading, &fixture, name, version, all_refs, formats[i], false);
            g_assert_no_error(reading.error);
            g_assert_cmpstr(reading.refs, ==, "");
            reading_clear(&reading);
        }
    }
    fixture_clear(&fixture);
}

/* HEAD names a branch that is not there; others are. */
static void pipe__unborn_head__hides_no_other_branch(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    make_repository(&fixture, "sha1");
    g_free(sh(fixture.root, "git -C sha1 symbolic-ref HEAD refs/heads/unborn"));
    g_autofree char *expected = refs_of_git(&fixture, "sha1");
    for (int version = 0; version <= 2; version++) {
        struct reading reading;
        converse(&reading, &fixture, "sha1", version, all_refs, NULL, false);
        g_assert_no_error(reading.error);
        g_assert_cmpstr(reading.refs, ==, expected);
        reading_clear(&reading);
    }
    fixture_clear(&fixture);
}

static void pipe__no_repository__is_an_empty_answer(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    struct reading reading;
    g_assert_cmpint(converse(&reading, &fixture, "missing", 2, all_refs, NULL, false), !=, 0);
    assert_contains(reading.error->message, "empty");
    g_assert_cmpint(reading.next, ==, LSREFS_NEXT_NOTHING);
    reading_clear(&reading);
    fixture_clear(&fixture);
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (const char *at = strchr(text, '\n'); at; at = strchr(at + 1, '\n')) {
        count++;
    }
    return count;
}

/* A hundred thousand branches, with a request that alone fills a pipe: each side would wait for the
 * other if they took turns. */
static void pipe__100000_branches__are_all_told_and_few_are_kept(void)
{
    enum { COUNT = 100000 };
    struct fixture fixture;
    fixture_init(&fixture);
    make_repository(&fixture, "sha1");
    g_autofree char *id = sh(fixture.root, "git -C sha1 rev-parse refs/heads/topic/x");
    g_autoptr(GString) packed = g_string_new("# pack-refs with: peeled fully-peeled sorted\n");
    for (unsigned i = 0; i < COUNT; i++) {
        g_string_append_printf(packed, "%s refs/heads/b%06u\n", id, i);
    }
    write_text(fixture.root, "sha1/packed-refs", packed->str);
    g_autoptr(GPtrArray) wanted = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *padding = g_strnfill(REFSET_MAX_NAME - 20, 'p');
    g_ptr_array_add(wanted, g_strdup("refs/heads/b000[12]*"));
    for (unsigned i = 1; i < LSREFS_MAX_PREFIXES; i++) {
        g_ptr_array_add(wanted, g_strdup_printf("refs/heads/%02u%s", i, padding));
    }
    g_ptr_array_add(wanted, NULL);
    const char *const *few = (const char *const *)wanted->pdata;
    for (int version = 0; version <= 2; version += 2) {
        struct reading reading;
        converse(&reading, &fixture, "sha1", version, all_refs, NULL, false);
        g_assert_no_error(reading.error);
        g_assert_cmpuint(count_lines(reading.refs), ==, COUNT + 1); /* and main */
        reading_clear(&reading);
        converse(&reading, &fixture, "sha1", version, few, NULL, false);
        g_assert_no_error(reading.error);
        g_assert_cmpuint(count_lines(reading.refs), ==, 2 * 100);
        g_assert_true(g_str_has_prefix(reading.refs, "refs/heads/b000100 "));
        reading_clear(&reading);
    }
    fixture_clear(&fixture);
}

static void post__every_version_and_format__gives_what_git_gives_by_what_is_said_to_do_next(void)
{
    struct fixture fixture;
    fixture_init(&fixture);
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        make_repository(&fixture, formats[i]);
        g_autofree char *expected = refs_of_git(&fixture, formats[i]);
        for (int version = 0; version <= 2; version++) {
            struct reading reading;
            unsigned asked = 1;
            post(&reading, &fixture, formats[i], version, LSREFS_ANSWER, NULL);
            if (reading.next == LSREFS_NEXT_ADVERTISEMENT) {
                assert_contains(reading.error->message, "empty");
                reading_clear(&reading);
                post(&reading, &fixture, formats[i], version, LSREFS_ADVERTISEMENT, NULL);
                asked++;
            }
            if (reading.next == LSREFS_NEXT_COMMAND) {
                g_autofree char *format = g_strdup(reading.format);
                reading_clear(&reading);
                post(&reading, &fixture, formats[i], version, LSREFS_ANSWER, format);
                asked++;
            }
            g_assert_no_error(reading.error);
            g_assert_cmpstr(reading.refs, ==, expected);
            g_assert_cmpstr(reading.format, ==, formats[i]);
            g_assert_cmpuint(asked, ==, version < 2 ? 2 : i == 0 ? 1 : 3);
            reading_clear(&reading);
        }
    }
    fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* a server that died of what it was sent is a result, not the end of this program */
    signal(SIGPIPE, SIG_IGN);
#define ADD(name) g_test_add_func("/git_lsrefs_server/" #name, name)
    ADD(pipe__every_version_and_format__gives_what_git_gives);
    ADD(pipe__other_object_format__is_asked_again_with_the_right_one);
    ADD(pipe__flush_packet__ends_every_version_in_peace);
    ADD(pipe__repository_without_commits__has_no_refs);
    ADD(pipe__unborn_head__hides_no_other_branch);
    ADD(pipe__no_repository__is_an_empty_answer);
    ADD(pipe__100000_branches__are_all_told_and_few_are_kept);
    ADD(post__every_version_and_format__gives_what_git_gives_by_what_is_said_to_do_next);
#undef ADD
    return g_test_run();
}
