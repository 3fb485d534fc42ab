/* Real servers that a test starts in a folder of its own, and ends by their process id. */
#ifndef DUET_TESTS_SERVICE_H
#define DUET_TESTS_SERVICE_H

#include "test.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SERVICE_PATIENCE 60 /* seconds that anything may take on a loaded machine */

static inline void service_sleep_ms(unsigned ms)
{
    const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&ts, NULL);
}

static inline duet_time service_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (duet_time)ts.tv_sec * 1000000u + (duet_time)ts.tv_nsec / 1000u;
}

static inline void service_folder(char *path, size_t size)
{
    snprintf(path, size, "/tmp/duet-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static inline int service_unlink(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void service_folder_remove(const char *path)
{
    nftw(path, service_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* Free at this moment. */
static inline uint16_t service_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

/* Starts a program whose output goes to `log`; it ends with the test, however that ends. */
static inline pid_t service_start(const char *log, char *const argv[])
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execvp(argv[0], argv);
    _exit(127);
}

static inline void service_end(pid_t pid, int how)
{
    if (pid <= 0)
        return;
    kill(pid, how);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static inline bool service_is_running(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) == 0;
}

/* Runs a program to its end. */
static inline void service_run(const char *log, char *const argv[])
{
    int status;
    pid_t pid = service_start(log, argv);

    while (waitpid(pid, &status, 0) < 0) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s failed, see %s", argv[0], log);
}

#endif
