/* Tools that are executables: the inputs on standard input, the output on standard output, both JSON. Each runs in a
 * process group of its own, without a shell, in the folder of the file of tools, with few variables of the
 * environment; the group is killed when the call is over. A tool that streams writes one JSON value to a line. */
#include "utcp.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_SIZE      65536
#define READS_PER_TURN 8 /* others first */

/* One tool of the file. */
typedef struct program {
    struct program *next;
    utcp_exec *exec;
    const duet_utcp_tool_spec *spec;
} program;

/* One process. It outlives its call until it has been waited for. */
typedef struct run {
    struct run *next;
    program *program;
    duet_utcp_call *call; /* NULL once it has ended */
    pid_t pid;
    int pid_fd, in, out; /* -1: closed */
    duet_net_watch *pid_watch, *in_watch, *out_watch;
    char *input;
    size_t input_len, written;
    duet_buffer output; /* what came; of a stream, what has not been sent as items */
    bool exited, paused;
    int status;
} run;

struct utcp_exec {
    duet_env env;
    duet_net *net;
    char *folder;
    program *programs;
    run *runs;
};

/* ---- the end of a process ---- */

static void close_end(int *fd, duet_net_watch **watch)
{
    duet_net_watch_stop(*watch);
    *watch = NULL;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void kill_group(const run *r)
{
    if (r->pid > 0)
        kill(-r->pid, SIGKILL);
}

static void free_run(run *r)
{
    utcp_exec *e = r->program->exec;
    run **at = &e->runs;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    close_end(&r->in, &r->in_watch);
    close_end(&r->out, &r->out_watch);
    close_end(&r->pid_fd, &r->pid_watch);
    duet_buffer_free(&r->output);
    free(r->input);
    free(r);
}

/* Nobody wants its output any more; it goes when it has been waited for. */
static void abandon(run *r)
{
    r->call = NULL;
    r->paused = false;
    kill_group(r);
    close_end(&r->in, &r->in_watch);
    close_end(&r->out, &r->out_watch);
    if (r->exited)
        free_run(r);
}

static void fail(run *r, const char *code, const char *text)
{
    if (r->call)
        (void)duet_utcp_call_fail(r->call, code, text);
    abandon(r);
}

static void describe_status(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "the tool was killed by signal %d", WTERMSIG(status));
    else
        snprintf(text, size, "the tool ended with exit code %d", WEXITSTATUS(status));
}

/* ---- output ---- */

static bool is_blank(const uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!strchr(" \t\r\n", text[i]))
            return false;
    }
    return true;
}

/* Sends the whole lines as items; at the end of the output the last one need not be whole.
 * @return false when it waits for the caller, or has failed */
static bool send_items(run *r, bool at_end)
{
    size_t sent = 0;
    int err = DUET_OK;

    while (sent < r->output.len && err == DUET_OK) {
        const uint8_t *line = r->output.data + sent, *end = memchr(line, '\n', r->output.len - sent);
        size_t len = end ? (size_t)(end - line) : r->output.len - sent;
        if (!end && !at_end)
            break;
        if (!is_blank(line, len))
            err = duet_utcp_call_item(r->call, (const char *)line, len);
        if (err == DUET_OK)
            sent += len + (end != NULL);
    }
    memmove(r->output.data, r->output.data + sent, r->output.len - sent);
    r->output.len -= sent;
    if (err == DUET_OK)
        return true;
    r->paused = err == DUET_ERR_AGAIN;
    if (err == DUET_ERR_MALFORMED || err == DUET_ERR_TOO_LARGE)
        fail(r, "invalid_output", "an item of the tool is not JSON, not as its outputs say, or too large");
    else if (err != DUET_ERR_AGAIN)
        fail(r, "failed", duet_strerror(err));
    return false;
}

/* The process has ended and its output is complete. */
static void finish(run *r)
{
    char text[80];

    if (!r->exited || r->out >= 0 || r->paused)
        return;
    if (!r->call) {
        free_run(r);
        return;
    }
    if (r->status != 0) {
        describe_status(r->status, text, sizeof(text));
        fail(r, "failed", text);
        return;
    }
    if (r->program->spec->streams) {
        if (!send_items(r, true))
            return;
        (void)duet_utcp_call_end(r->call);
    } else if (is_blank(r->output.data, r->output.len)) {
        (void)duet_utcp_call_fail(r->call, "invalid_output", "the tool gave no output");
    } else if (duet_utcp_call_respond(r->call, (const char *)r->output.data, r->output.len) == DUET_ERR_NOMEM) {
        (void)duet_utcp_call_fail(r->call, "failed", duet_strerror(DUET_ERR_NOMEM));
    }
    abandon(r);
}

/* @return false when nothing more can be done with this run now (or it is gone) */
static bool take_output(run *r, const char *data, size_t len)
{
    duet_buffer_append(&r->output, data, len);
    if (r->output.failed || r->output.len > DUET_UTCP_MESSAGE_MAX) {
        fail(r, "too_large", "the tool's output is too large");
        return false;
    }
    return !r->program->spec->streams || send_items(r, false);
}

static void read_output(run *r)
{
    char data[READ_SIZE];

    for (int i = 0; i < READS_PER_TURN && !r->paused; i++) {
        ssize_t n = read(r->out, data, sizeof(data));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            close_end(&r->out, &r->out_watch);
            finish(r);
            return;
        }
        if (!take_output(r, data, (size_t)n))
            return;
    }
}

static void output_ready(void *arg, unsigned ready);

/* Nothing is read while items wait. The watch goes, as a pipe whose writer has gone is always ready. */
static void watch_output(run *r)
{
    if (r->paused || r->out < 0) {
        duet_net_watch_stop(r->out_watch);
        r->out_watch = NULL;
    } else if (!r->out_watch && duet_net_watch_start(&r->out_watch, r->program->exec->net, r->out, DUET_NET_READABLE,
                                                     output_ready, r) != DUET_OK) {
        fail(r, "failed", duet_strerror(DUET_ERR_NOMEM));
    }
}

static run *find_run(const utcp_exec *e, const run *wanted)
{
    run *r = e->runs;

    while (r && r != wanted)
        r = r->next;
    return r;
}

static void output_ready(void *arg, unsigned ready)
{
    run *r = arg;
    const utcp_exec *e = r->program->exec;

    (void)ready;
    read_output(r);
    if (find_run(e, r))
        watch_output(r);
}

static void process_ended(void *arg, unsigned ready)
{
    run *r = arg;

    (void)ready;
    kill_group(r); /* what it leaves behind, so that its output ends too; while its id is still its own */
    if (waitpid(r->pid, &r->status, WNOHANG) == 0)
        return;
    r->exited = true;
    r->pid = 0;
    close_end(&r->pid_fd, &r->pid_watch);
    finish(r);
}

/* ---- input ---- */

static void input_ready(void *arg, unsigned ready)
{
    run *r = arg;

    (void)ready;
    while (r->written < r->input_len) {
        ssize_t n = write(r->in, r->input + r->written, r->input_len - r->written);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            break; /* it does not read: it need not */
        r->written += (size_t)n;
    }
    close_end(&r->in, &r->in_watch);
    free(r->input);
    r->input = NULL;
}

/* ---- starting ---- */

/* Where to find programs, the language and the time zone: nothing that is a secret of ours. */
static char **make_environment(const run *r, char tool[256])
{
    static const char *const passed[] = {"PATH=", "HOME=", "LANG=", "LC_ALL=", "TZ=", "TMPDIR="};
    static char *list[8];
    size_t count = 0;

    for (char **variable = environ; *variable; variable++) {
        for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
            if (strncmp(*variable, passed[i], strlen(passed[i])) == 0 && count < 6)
                list[count++] = *variable;
        }
    }
    snprintf(tool, 256, "UTCP_TOOL=%s", r->program->spec->name);
    list[count++] = tool;
    list[count] = NULL;
    return list;
}

static int spawn(run *r, int in, int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    char tool[256];

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_addchdir_np(&actions, r->program->exec->folder);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    char **command = r->program->spec->command;
    int error = posix_spawnp(&r->pid, command[0], &actions, &attributes, command, make_environment(r, tool));
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error != 0)
        r->pid = 0;
    return error;
}

static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int watch(run *r)
{
    duet_net *net = r->program->exec->net;

    r->pid_fd = (int)syscall(SYS_pidfd_open, r->pid, 0);
    if (r->pid_fd < 0)
        return DUET_ERR_IO;
    fcntl(r->pid_fd, F_SETFD, FD_CLOEXEC);
    set_nonblocking(r->in);
    set_nonblocking(r->out);
    int err = duet_net_watch_start(&r->pid_watch, net, r->pid_fd, DUET_NET_READABLE, process_ended, r);
    if (err == DUET_OK)
        err = duet_net_watch_start(&r->out_watch, net, r->out, DUET_NET_READABLE, output_ready, r);
    if (err == DUET_OK)
        err = duet_net_watch_start(&r->in_watch, net, r->in, DUET_NET_WRITABLE, input_ready, r);
    return err;
}

static int start(run *r)
{
    int in[2], out[2];

    if (pipe2(in, O_CLOEXEC) != 0)
        return errno;
    if (pipe2(out, O_CLOEXEC) != 0) {
        int error = errno;
        close(in[0]);
        close(in[1]);
        return error;
    }
    int error = spawn(r, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    r->in = in[1];
    r->out = out[0];
    if (error != 0)
        return error;
    return watch(r) == DUET_OK ? 0 : ENOMEM;
}

static void begin(run *r)
{
    char text[200];

    int error = start(r);
    if (error == 0)
        return;
    snprintf(text, sizeof(text), "the tool cannot be started: %s", strerror(error));
    app_error("%s: %s", r->program->spec->command[0], text);
    (void)duet_utcp_call_fail(r->call, "failed", text);
    kill_group(r);
    if (r->pid > 0)
        waitpid(r->pid, &r->status, 0);
    free_run(r);
}

/* ---- calls ---- */

static void on_call(void *user, duet_utcp_call *call, const char *inputs, size_t len)
{
    program *p = user;
    run *r = calloc(1, sizeof(*r));
    char *input = malloc(len ? len : 1);

    if (!r || !input) {
        free(r);
        free(input);
        (void)duet_utcp_call_fail(call, "busy", duet_strerror(DUET_ERR_NOMEM));
        return;
    }
    memcpy(input, inputs, len);
    r->program = p;
    r->call = call;
    r->pid_fd = r->in = r->out = -1;
    r->input = input;
    r->input_len = len;
    duet_buffer_init(&r->output, &p->exec->env);
    r->next = p->exec->runs;
    p->exec->runs = r;
    duet_utcp_call_set_data(call, r);
    begin(r);
}

static void on_cancel(void *user, duet_utcp_call *call)
{
    run *r = duet_utcp_call_data(call);

    (void)user;
    if (r)
        abandon(r);
}

static void on_writable(void *user, duet_utcp_call *call)
{
    run *r = duet_utcp_call_data(call);

    (void)user;
    r->paused = false;
    if (!send_items(r, false))
        return;
    if (r->out >= 0)
        watch_output(r);
    else
        finish(r);
}

/* ---- all of them ---- */

int utcp_exec_create(utcp_exec **out, duet_net *net, const char *folder)
{
    utcp_exec *e = calloc(1, sizeof(*e));

    *out = e;
    if (!e)
        return DUET_ERR_NOMEM;
    e->env = duet_env_resolve(NULL);
    e->net = net;
    e->folder = strdup(folder);
    return e->folder ? DUET_OK : DUET_ERR_NOMEM;
}

void utcp_exec_destroy(utcp_exec *e)
{
    if (!e)
        return;
    while (e->runs) {
        run *r = e->runs;
        kill_group(r);
        if (!r->exited)
            waitpid(r->pid, &r->status, 0);
        free_run(r);
    }
    while (e->programs) {
        program *p = e->programs;
        e->programs = p->next;
        free(p);
    }
    free(e->folder);
    free(e);
}

int utcp_exec_tool(utcp_exec *e, const duet_utcp_tool_spec *spec, duet_utcp_tool *tool)
{
    program *p = calloc(1, sizeof(*p));

    if (!p)
        return DUET_ERR_NOMEM;
    p->exec = e;
    p->spec = spec;
    p->next = e->programs;
    e->programs = p;
    tool->on_call = on_call;
    tool->on_cancel = on_cancel;
    tool->on_writable = on_writable;
    tool->user = p;
    return DUET_OK;
}
