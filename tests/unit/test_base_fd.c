#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/tail.h"

static bool is_nonblocking(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

static void pipe__both_kinds__close_on_exec_and_block_as_named(void)
{
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    g_assert_false(is_nonblocking(ends[0]) || is_nonblocking(ends[1]));
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpint(fcntl(ends[i], F_GETFD), ==, FD_CLOEXEC);
        fd_close(&ends[i]);
    }
    g_assert_true(fd_pipe_nonblocking(ends, NULL));
    g_assert_true(is_nonblocking(ends[0]) && is_nonblocking(ends[1]));
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpint(fcntl(ends[i], F_GETFD), ==, FD_CLOEXEC);
        fd_close(&ends[i]);
    }
}

static void waiting_bytes__of_a_pipe__are_those_that_can_be_read(void)
{
    int ends[2];
    g_assert_true(fd_pipe(ends, NULL));
    g_assert_cmpint(fd_waiting_bytes(ends[0]), ==, 0);
    g_assert_cmpint(write(ends[1], "abc", 3), ==, 3);
    g_assert_cmpint(fd_waiting_bytes(ends[0]), ==, 3);
    fd_close(&ends[0]);
    fd_close(&ends[1]);
    g_assert_cmpint(fd_waiting_bytes(-1), ==, 0);
}

static void tail__more_than_fits__keeps_the_end(void)
{
    struct tail tail = {.length = 0};
    tail_append(&tail, "", 0);
    g_assert_cmpstr(tail.text, ==, "");
    tail_append(&tail, "one ", 4);
    tail_append(&tail, "two", 3);
    g_assert_cmpstr(tail.text, ==, "one two");
    g_autofree char *long_text = g_strnfill(TAIL_MAX_BYTES - 3, 'x');
    tail_append(&tail, long_text, TAIL_MAX_BYTES - 3);
    g_assert_cmpuint(tail.length, ==, TAIL_MAX_BYTES);
    g_assert_true(g_str_has_prefix(tail.text, "twox"));
    g_autofree char *longer = g_strnfill(3 * TAIL_MAX_BYTES, 'y');
    tail_append(&tail, longer, 3 * TAIL_MAX_BYTES);
    g_assert_cmpuint(tail.length, ==, TAIL_MAX_BYTES);
    g_assert_cmpuint(strlen(tail.text), ==, TAIL_MAX_BYTES);
    g_assert_cmpint(tail.text[0], ==, 'y');
}

static void tail_read__a_pipe__takes_what_is_there_until_its_end(void)
{
    struct tail tail = {.length = 0};
    int ends[2];
    g_assert_true(fd_pipe_nonblocking(ends, NULL));
    g_assert_true(tail_read(&tail, ends[0]));
    g_assert_cmpuint(tail.length, ==, 0);
    g_autofree char *much = g_strnfill(60000, 'z');
    g_assert_cmpint(write(ends[1], much, 60000), ==, 60000);
    g_assert_cmpint(write(ends[1], "end", 3), ==, 3);
    g_assert_true(tail_read(&tail, ends[0]));
    g_assert_cmpuint(tail.length, ==, TAIL_MAX_BYTES);
    g_assert_true(g_str_has_suffix(tail.text, "zend"));
    fd_close(&ends[1]);
    g_assert_false(tail_read(&tail, ends[0]));
    g_assert_true(g_str_has_suffix(tail.text, "zend"));
    fd_close(&ends[0]);
    g_assert_false(tail_read(&tail, -1));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/base_fd/" #name, name)
    ADD(pipe__both_kinds__close_on_exec_and_block_as_named);
    ADD(waiting_bytes__of_a_pipe__are_those_that_can_be_read);
    ADD(tail__more_than_fits__keeps_the_end);
    ADD(tail_read__a_pipe__takes_what_is_there_until_its_end);
    return g_test_run();
}
