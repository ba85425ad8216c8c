/* Work: a child keeps the processors or a disk busy for some seconds, so that limits can be seen to hold; one at a time. */
#include "agent.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_SECONDS = 60, MAX_CPUS = 64, BLOCK = 4096, LARGEST_READ = 1 << 20, QUICKEST = 2 };

int work = -1;   /* the end of a pipe on which the child says what came of it */
static pid_t worker;
static struct channel *client;
static char work_id[ID_LIMIT + 1];

static int64_t microseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void burn(int answer, int64_t end) {
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    bool first = true;
    for (int i = 1; i < cpus && i < MAX_CPUS && first; i++) first = fork() != 0;
    for (volatile unsigned n = 0; n % 1000000 || microseconds() < end; n++) { }
    if (!first) return;
    while (wait(NULL) > 0) { }
    dprintf(answer, "ok burnt %ld\n", cpus);
}

static void read_disk(int answer, const char *path, size_t size, int64_t end) {   /* reads alone: nothing on a disk is changed */
    uint64_t whole = 0, at = 0;
    int64_t quick[QUICKEST], begun = microseconds(), t = begun;
    unsigned long long done = 0;
    void *room;
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &whole) || whole < size || posix_memalign(&room, BLOCK, size)) {
        dprintf(answer, "error %s\n", errno ? strerrorname_np(errno) : "too-small");
        return;
    }
    for (int i = 0; i < QUICKEST; i++) quick[i] = INT64_MAX;
    while (t < end) {
        if (pread(fd, room, size, (off_t)at) != (ssize_t)size) { dprintf(answer, "error %s\n", strerrorname_np(errno)); return; }
        at = at + 2 * size > whole ? 0 : at + size;
        done++;
        int64_t later = microseconds(), took = later - t;
        t = later;
        for (int i = 0; i < QUICKEST; i++) if (took < quick[i]) { int64_t other = quick[i]; quick[i] = took; took = other; }
    }
    dprintf(answer, "ok read %llu %lld %lld\n", done, (long long)(t - begun), (long long)(quick[QUICKEST - 1] == INT64_MAX ? t - begun : quick[QUICKEST - 1]));
}

void start_work(struct channel *c, const char *id, const char *disk, const char *size_text, const char *seconds_text) {   /* no disk: processors */
    char path[64], *end;
    int ends[2];
    unsigned long size = disk ? strtoul(size_text, &end, 10) : 0;
    if (work >= 0) { reply(c, "%s error busy", id); return; }
    if (disk && (*end || !size || size % BLOCK || size > LARGEST_READ)) { reply(c, "%s error bad-size", id); return; }
    for (const char *p = disk; p && *p; p++) if (!isalnum((unsigned char)*p)) { reply(c, "%s error bad-disk", id); return; }
    double seconds = strtod(seconds_text, &end);
    if (*end || !(seconds >= 0.01 && seconds <= MOST_SECONDS)) { reply(c, "%s error bad-timeout", id); return; }
    if (pipe2(ends, O_CLOEXEC)) { reply(c, "%s error %s", id, strerrorname_np(errno)); return; }
    if (disk) snprintf(path, sizeof path, "/dev/%s", disk);
    int64_t until = microseconds() + (int64_t)(seconds * 1000000);
    worker = fork();
    if (!worker) {
        setpgid(0, 0);
        errno = 0;
        if (disk) read_disk(ends[1], path, size, until);
        else burn(ends[1], until);
        _exit(0);
    }
    close(ends[1]);
    if (worker < 0) { close(ends[0]); reply(c, "%s error %s", id, strerrorname_np(errno)); return; }
    setpgid(worker, worker);   /* here too: whoever comes first */
    work = ends[0];
    client = c;
    strcpy(work_id, id);
}

static void end_work(void) {
    kill(-worker, SIGKILL);
    waitpid(worker, NULL, 0);
    close(work);
    work = -1;
}

void work_event(void) {
    char text[128];
    ssize_t n = read(work, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    reply(client, "%s %s", work_id, *text ? text : "error worker-ended");
    end_work();
}

void forget_work(const struct channel *c) {
    if (work >= 0 && client == c) end_work();
}
