/*
 * Asks a policy server as Postfix does, over many connections at once, and times it.
 *
 * Each connection is a closed loop: the next request leaves when the answer is there, as
 * with an smtpd process. Every request has all the attributes of Postfix 3.7 at the given
 * state, a queue id and instance of its own, and one of SENDERS senders, all of them
 * equally often in scattered order. In C, as Python would be slower than what it measures.
 *
 * usage: policy_load unix:PATH|tcp:PORT CONNECTIONS SECONDS REQUESTS SENDERS STATE FIRST
 *
 * Ends after SECONDS, or after REQUESTS if that is not 0; FIRST is the number of the first
 * request, so that a second run goes on where the first ended. Prints one line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define STRIDE 7919 /* a prime: with any number of senders that it does not divide, all come */
#define PATIENCE 60000 /* milliseconds without any answer: the server is dead */

struct line {
    int fd;
    size_t got;
    uint64_t since;
    char answer[4096];
};

static uint64_t number, senders, passed, other, answers, room;
static uint32_t *latencies; /* in units of 0.1 us */
static const char *state;

static void die(const char *what)
{
    fprintf(stderr, "policy_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int dial(const char *where)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int tcp = strncmp(where, "tcp:", 4) == 0;
    int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
    if (tcp)
        in.sin_port = htons(atoi(where + 4));
    else
        snprintf(un.sun_path, sizeof un.sun_path, "%s", where + strlen("unix:"));
    for (int tries = 0;; tries++) { /* a short listen queue is no reason to give up */
        int bad = tcp ? connect(fd, (void *)&in, sizeof in) : connect(fd, (void *)&un, sizeof un);
        if (!bad)
            return fd;
        if (tries == 1000)
            die(where);
        usleep(10000);
    }
}

static void ask(struct line *line)
{
    char text[2048];
    uint64_t n = number++, who = n * STRIDE % senders;
    int size = snprintf(
        text, sizeof text,
        "request=smtpd_access_policy\nprotocol_state=%s\nprotocol_name=ESMTP\n"
        "client_address=192.0.2.17\nclient_name=app.town%lu.example\nclient_port=%lu\n"
        "reverse_client_name=app.town%lu.example\nserver_address=192.0.2.1\nserver_port=587\n"
        "helo_name=app.town%lu.example\nsender=clerk@town%lu.example\n"
        "recipient=someone@example.net\nrecipient_count=1\nqueue_id=4%015lX\n"
        "instance=%lx.69200000.%lx.0\nsize=5489\netrn_domain=\nstress=\nsasl_method=PLAIN\n"
        "sasl_username=app%lu\nsasl_sender=\nccert_subject=\nccert_issuer=\n"
        "ccert_fingerprint=\nccert_pubkey_fingerprint=\nencryption_protocol=TLSv1.3\n"
        "encryption_cipher=TLS_AES_256_GCM_SHA384\nencryption_keysize=256\n"
        "policy_context=\n\n",
        state, who, 20000 + n % 40000, who, who, who, n, n % 30000, n, who);
    line->got = 0;
    line->since = now();
    if (write(line->fd, text, size) != size)
        die("write");
}

static int finished(struct line *line)
{
    ssize_t more = read(line->fd, line->answer + line->got, sizeof line->answer - line->got - 1);
    if (more <= 0)
        die("the server hung up");
    line->got += more;
    line->answer[line->got] = 0;
    if (line->got < 2 || strcmp(line->answer + line->got - 2, "\n\n"))
        return 0;
    if (answers == room && !(latencies = realloc(latencies, (room = 2 * room + 4096) * 4)))
        die("memory");
    latencies[answers++] = (now() - line->since) / 100;
    *(strcasecmp(line->answer, "action=dunno\n\n") ? &other : &passed) += 1;
    return 1;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double quantile(double share) { return latencies[(uint64_t)(share * (answers - 1))] / 1e7; }

int main(int argc, char **argv)
{
    if (argc != 8)
        return 64;
    int lines = atoi(argv[2]), open = lines, poll = epoll_create1(0);
    uint64_t most = strtoull(argv[4], 0, 10), first = number = strtoull(argv[7], 0, 10);
    senders = strtoull(argv[5], 0, 10);
    state = argv[6];
    struct line *all = calloc(lines, sizeof *all);
    for (int n = 0; n < lines; n++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[n]};
        all[n].fd = dial(argv[1]);
        epoll_ctl(poll, EPOLL_CTL_ADD, all[n].fd, &event);
    }
    uint64_t start = now(), end = start + (uint64_t)(atof(argv[3]) * 1e9);
    for (int n = 0; n < lines; n++)
        ask(&all[n]);
    while (open) {
        struct epoll_event ready[256];
        int count = epoll_wait(poll, ready, 256, PATIENCE);
        if (count <= 0)
            die("no answer for a minute");
        for (int n = 0; n < count; n++) {
            struct line *line = ready[n].data.ptr;
            if (!finished(line))
                continue;
            if (now() < end && (!most || number - first < most))
                ask(line);
            else
                open--;
        }
    }
    double seconds = (now() - start) / 1e9;
    qsort(latencies, answers, sizeof *latencies, by_size);
    printf("decisions=%lu seconds=%.6f passed=%lu other=%lu p50=%.7f p99=%.7f max=%.7f\n", answers,
           seconds, passed, other, quantile(0.5), quantile(0.99), quantile(1));
    return 0;
}
