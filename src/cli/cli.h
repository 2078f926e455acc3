/* SPDX-License-Identifier: MIT */
/*
 * The umndis program. One table of commands (main.c); each command runs either in this process on a
 * stopped box (the registry file is opened, nothing is started) or inside the running box, to which
 * the words are sent over its control socket (control.c, client.c). Either way it writes its answer
 * into a struct out, as text or JSON, and returns the exit status: 0 done, 1 failed, 2 usage.
 */
#ifndef UMN_CLI_H
#define UMN_CLI_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "umndis/umndis.h"

/* ---- out.c: a growing answer with two streams and a JSON writer ---------------------------------
 */
struct out {
    char *text;
    size_t length, room;
    char *error; /* what goes to stderr */
    size_t error_length, error_room;
    bool json, detail, stats;
    unsigned depth;
    bool first; /* no comma yet at this depth */
};
void out_free(struct out *o);
void out_text(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "umndis: ..." on stderr; returns `status` so that one can return it. */
int out_fail(struct out *o, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* JSON: name NULL inside arrays and at the top. */
void out_open(struct out *o, const char *name, char bracket); /* '{' or '[' */
void out_close(struct out *o, char bracket);
void out_str(struct out *o, const char *name, const char *value);
void out_num(struct out *o, const char *name, uint64_t value);
void out_bool(struct out *o, const char *name, bool value);

/* ---- args.c: words of a command line
 * --------------------------------------------------------------- */
struct args {
    char **word; /* what is left, options taken out by arg_* */
    int count;
};
/* Takes --name VALUE (or --name=VALUE) out; NULL if it is not there. *error if the value misses. */
const char *arg_value(struct args *a, const char *name, bool *error);
bool arg_flag(struct args *a, const char *name);
/* A decimal number in range; false and a message otherwise. */
bool arg_number(struct out *o, const char *name, const char *text, long low, long high,
                long *value);
/* Complains about the first word left (unknown option or too many words): usage status, else 0. */
int arg_rest(struct out *o, const struct args *a, int allowed);

/* ---- commands
 * ------------------------------------------------------------------------------------------ */
enum where { AT_BOX, AT_BOX_OR_FILE, AT_HOME };
struct command {
    const char *object, *verb; /* verb NULL: the object stands alone */
    enum where where;
    int (*run)(struct out *o, struct args *a);
    const char *arguments, *summary, *help;
};
extern const struct command commands[];
extern const unsigned command_count;
/* Finds by words (unique beginnings count, as in ip); moves past the words used. */
const struct command *command_find(struct out *o, struct args *a);
/* Runs a command in this process, in a context. live: a box is running here. */
int command_run(struct out *o, struct args *a, bool live);
bool box_is_live(void);

int cmd_show(struct out *o, struct args *a);
int cmd_adapter_list(struct out *o, struct args *a);
int cmd_vm_add(struct out *o, struct args *a);
int cmd_vm_remove(struct out *o, struct args *a);
int cmd_vm_list(struct out *o, struct args *a);
int cmd_device_list(struct out *o, struct args *a);
int cmd_device_disable(struct out *o, struct args *a);
int cmd_device_enable(struct out *o, struct args *a);
int cmd_device_remove(struct out *o, struct args *a);
int cmd_send(struct out *o, struct args *a);
int cmd_count(struct out *o, struct args *a);
int cmd_trace(struct out *o, struct args *a);
int cmd_oid(struct out *o, struct args *a);
int cmd_stop(struct out *o, struct args *a);
int cmd_run(struct out *o, struct args *a);
int cmd_version(struct out *o, struct args *a);
int cmd_help(struct out *o, struct args *a);

/* ---- names.c: what a person calls an adapter
 * -------------------------------------------------------------- */
/* Name, {GUID}, \Device\{GUID}, instance id -> instance id and guid (64 bytes each). Refuses with
 * the names there are. */
int name_resolve(struct out *o, const char *name, char *instance_id, char *guid);
/* The same for many, with one look at the devices; stops at the first that is not one's name. */
struct name_ids {
    char instance_id[64], guid[64];
};
int names_resolve(struct out *o, char *const *name, size_t count, struct name_ids *ids);
/* Friendly name of a device, "" if it has none; 128 bytes. */
void name_of(const char *instance_id, char *name);

/* ---- setup.c: what `umndis run` builds
 * --------------------------------------------------------------------- */
struct setup {
    const char *lower[16];
    unsigned lowers;
    unsigned vms;      /* virtual miniports per lower adapter */
    const char *upper; /* "tap", "pktio" or "none" */
    bool existing;     /* the registry has devices: start them, add nothing unless asked */
};
int setup_build(struct out *o, const struct setup *s); /* in a context of the box */

/* ---- hotplug.c --------------------------------------------------------------------------------
 */
int hotplug_open(void);     /* descriptor to poll, or -1 */
void hotplug_ready(int fd); /* it is readable: start what is back */

/* ---- control.c, client.c
 * --------------------------------------------------------------------------------------- */
/* Path of the control socket of a box; the folder is made. False: the path is too long. */
bool control_path(const char *box, char *path, size_t size);
/* Listens; UMN_EEXIST if a box of that name answers. */
int control_listen(const char *box, int *fd);
/* Serves until a stop command, SIGINT or SIGTERM (signalfd), or the deadline (monotonic, 0 none).
 */
void control_serve(int listen_fd, int signal_fd, unsigned seconds);
void control_close(const char *box, int fd);
void control_stop(void); /* from a command: end the loop after the answer */
/* Sends the words to the box; status of the command, or -1 if no box of that name runs. */
int client_run(const char *box, struct out *o, const struct args *a);

#endif
