/*
 * The floor under any milter: one in C that does nothing.
 *
 * bench/floor.py asks Pointsman's milter what it negotiates (connect, MAIL, RCPT and
 * headers without a reply, then END-OF-MESSAGE; no HELO, no DATA, no end of headers, no
 * body; and which macros) and hands that over as arguments, so that this one asks libmilter
 * for exactly the same. Postfix then sends both the same bytes, and waits for both at the
 * same places; all that differs is the work done in between.
 *
 * usage: floor SOCKET ACTIONS STEPS [STAGE MACROS]...
 */
#include <libmilter/mfapi.h>
#include <stdlib.h>
#include <sys/stat.h>

typedef unsigned long flags;

#define ANSWER(step) (agreed & (step) ? SMFIS_NOREPLY : SMFIS_CONTINUE)

static char **asked; /* ACTIONS STEPS [STAGE MACROS]... */
static flags agreed;

static sfsistat negotiate(SMFICTX *c, flags f0, flags f1, flags f2, flags f3,
                          flags *actions, flags *steps, flags *pf2, flags *pf3)
{
    *actions = f0 & strtoul(asked[0], 0, 10);
    *steps = agreed = f1 & strtoul(asked[1], 0, 10);
    *pf2 = *pf3 = 0;
    for (char **more = asked + 2; *more; more += 2)
        smfi_setsymlist(c, atoi(more[0]), more[1]);
    return SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *c, char *h, _SOCK_ADDR *a) { return ANSWER(SMFIP_NR_CONN); }
static sfsistat on_mail(SMFICTX *c, char **argv) { return ANSWER(SMFIP_NR_MAIL); }
static sfsistat on_rcpt(SMFICTX *c, char **argv) { return ANSWER(SMFIP_NR_RCPT); }
static sfsistat on_header(SMFICTX *c, char *n, char *v) { return ANSWER(SMFIP_NR_HDR); }
static sfsistat on_end(SMFICTX *c) { return SMFIS_ACCEPT; }
static sfsistat on_other(SMFICTX *c) { return SMFIS_CONTINUE; }

int main(int argc, char **argv)
{
    struct smfiDesc milter = {
        .xxfi_name = "floor", .xxfi_version = SMFI_VERSION, .xxfi_flags = SMFI_CURR_ACTS,
        .xxfi_connect = on_connect, .xxfi_envfrom = on_mail, .xxfi_envrcpt = on_rcpt,
        .xxfi_header = on_header, .xxfi_eom = on_end, .xxfi_abort = on_other,
        .xxfi_close = on_other, .xxfi_negotiate = negotiate,
    };
    if (argc < 4 || argc % 2 || smfi_setconn(argv[1]) || smfi_register(milter))
        return 64;
    asked = argv + 2;
    umask(0);
    return smfi_main();
}
