/* What the parts of the agent share. */
#ifndef PROVISION_AGENT_H
#define PROVISION_AGENT_H
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { LINE_LIMIT = 512, ID_LIMIT = 32, REPLY_LIMIT = 4096, OUT_LIMIT = 65536 };
enum { MAX_CHANNELS = 17, MAX_PROBES = 128, MAX_LISTENERS = 256, MAX_ANSWERING = 128 };

typedef int64_t ms_t;
typedef union { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; } address_t;

struct channel {
    int fd;             /* -1: free */
    bool port, absent;  /* a virtio port; the host has not opened its end */
    bool overlong;      /* inside a line beyond the limit: skip to its end */
    size_t in_len, out_len;
    char in[LINE_LIMIT], out[OUT_LIMIT];
};
struct probe {
    int fd;             /* -1: free */
    int kind;           /* 't', 'u', 'i', 'h' (a connection that is to stay) or 'b' (asks through it) */
    struct channel *channel;
    char id[ID_LIMIT + 1];
    ms_t begun, deadline, resend;
    unsigned nonce;
    bool six;
};
struct listener { int fd, kind; unsigned port; };
struct answering { int fd; };   /* -1: free */

extern struct channel channels[MAX_CHANNELS];
extern struct probe probes[MAX_PROBES];
extern struct listener listeners[MAX_LISTENERS];
extern struct answering answering[MAX_ANSWERING];
extern int ear, work;   /* -1: none */

#define ASK "provision-probe "
#define ANSWER "provision-echo "
#define MARK "prov#"   /* begins the mark of a frame: it fits what is behind an ARP packet in the shortest frame */

ms_t now(void);

/* channels.c */
void lose(struct channel *c);
void flush(struct channel *c);
__attribute__((format(printf, 2, 3))) void reply(struct channel *c, const char *format, ...);
struct channel *open_channel(int fd, bool port);

/* probes.c */
void begin_probes(void);
void start_probe(struct channel *c, const char *id, int kind, char *where, const char *port_text, const char *limit);
void probe_event(struct probe *p, short events);
bool connects(const struct probe *p);
ms_t tend_probes(ms_t t, ms_t wake);
void start_beat(struct channel *c, const char *id, const char *limit);
bool parse_address(char *text, unsigned port, address_t *a, socklen_t *length);
bool parse_port(const char *text, unsigned *port);

/* listeners.c */
void begin_listeners(void);
void start_listener(struct channel *c, const char *id, const char *proto, const char *port_text);
void stop_listeners(void);
void listener_event(struct listener *l);

/* flood.c */
void start_flood(struct channel *c, const char *id, char **word);
void forget_flood(const struct channel *c);
ms_t tend_flood(ms_t t, ms_t wake);

/* flows.c */
void begin_flows(void);
void hold_flow(struct channel *c, int fd);
void release_flow(void);
void forget_flow(const struct channel *c);
int flow_again(const struct channel *c);
void answer_flow(int fd);
void answering_event(struct answering *a);
void stop_answering(void);

/* frames.c */
void start_watch(struct channel *c, const char *id);
void forget_watch(const struct channel *c);
void ear_event(void);
void list_heard(struct channel *c, const char *id);
void send_frame(struct channel *c, const char *id, const char *card, const char *hex);

/* work.c */
void start_work(struct channel *c, const char *id, const char *disk, const char *size_text, const char *seconds_text);
void work_event(void);
void forget_work(const struct channel *c);

#endif
