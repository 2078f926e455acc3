/* SPDX-License-Identifier: MIT */
/* The program: the table of commands, help, and where a command runs. */
#include "cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "check/check.h"
#include "plat/plat.h"

const struct command commands[] = {
    {"run", NULL, AT_HOME, cmd_run,
     "[--lower IFACE]... [--vms N] [--upper tap|pktio|none] [--registry FILE] [--name BOX]\n"
     "           [--drivers DIR] [--cpus N] [--poll US] [--for SECONDS] [--quiet]",
     "run a box in the foreground",
     "Builds a box: the MUX intermediate driver over each IFACE (a Linux interface, through an\n"
     "AF_PACKET miniport), N virtual miniports on it (default 3), each shown to Linux as a TAP\n"
     "interface vm1, vm2, ... Without --lower the box uses the in-process wire and needs no\n"
     "privileges. With --registry the configuration is kept in FILE; if FILE has devices already,\n"
     "they are started and nothing is added. Ends on ^C, SIGTERM, `umndis stop` or after --for.\n"
     "--poll: microseconds a virtual CPU polls before it sleeps (default 50)."},
    {"stop", NULL, AT_BOX, cmd_stop, "", "stop the running box", NULL},
    {"show", NULL, AT_BOX, cmd_show, "", "everything in the running box", NULL},
    {"adapter", "list", AT_BOX, cmd_adapter_list, "[NAME]", "adapters, as ip link shows them",
     "-d shows NDIS detail, -s statistics, --json an array with the keys of ip -j link and more."},
    {"vm", "add", AT_BOX_OR_FILE, cmd_vm_add,
     "--lower NAME [--count N] [--name NAME] [--mac MAC] [--vlan ID]\n"
     "              [--mode bridge|private|vepa] [--upper tap|pktio|none]",
     "add virtual miniports",
     "Adds one virtual miniport, or N at once, over the adapter NAME; prints their names. On a\n"
     "running box they start; with --registry FILE and no running box only the registry is "
     "written.\n"
     "MAC: six hex bytes, unicast; without it the driver derives a stable one. ID: 1..4094, 0 "
     "none."},
    {"vm", "remove", AT_BOX_OR_FILE, cmd_vm_remove, "NAME...", "remove virtual miniports", NULL},
    {"vm", "list", AT_BOX, cmd_vm_list, "[NAME]", "virtual miniports, as ip link shows them", NULL},
    {"device", "list", AT_BOX_OR_FILE, cmd_device_list, "", "the device tree", NULL},
    {"device", "disable", AT_BOX_OR_FILE, cmd_device_disable, "NAME", "disable a device", NULL},
    {"device", "enable", AT_BOX_OR_FILE, cmd_device_enable, "NAME", "enable a device", NULL},
    {"device", "remove", AT_BOX_OR_FILE, cmd_device_remove, "NAME", "remove a device and its keys",
     NULL},
    {"send", NULL, AT_BOX, cmd_send, "FROM TO|MAC|broadcast [--count N] [--size BYTES] [--vlan ID]",
     "send frames through pktio",
     "Sends N frames (default 1) from the adapter FROM, which the protocol pktio must be bound "
     "to,\n"
     "to an adapter's address, a MAC or everybody."},
    {"count", NULL, AT_BOX, cmd_count, "NAME [--wait FRAMES]", "frames that pktio received",
     "--wait: until that many have come, at most 5 seconds (exit status 1 if they have not)."},
    {"oid", NULL, AT_BOX, cmd_oid, "NAME OID", "query an OID, e.g. 0x00010107",
     "Prints the answer in hexadecimal."},
    {"trace", NULL, AT_BOX, cmd_trace, "[--last N]", "the last events: states, PnP, binds, OIDs",
     NULL},
    {"version", NULL, AT_HOME, cmd_version, "", "version", NULL},
    {"help", NULL, AT_HOME, cmd_help, "[COMMAND]", "this, or a command's help", NULL},
};
const unsigned command_count = sizeof commands / sizeof *commands;

static void usage(struct out *o)
{
    out_text(o, "usage: umndis [-j|--json] [-d] [-s] [--box NAME] [--registry FILE] COMMAND\n\n"
                "NDIS 6 in user mode, and virtual miniports of the MUX intermediate driver.\n\n");
    for (unsigned i = 0; i < command_count; i++) {
        char words[32];
        snprintf(words, sizeof words, "%s%s%s", commands[i].object, commands[i].verb ? " " : "",
                 commands[i].verb ? commands[i].verb : "");
        out_text(o, "  %-16s %s\n", words, commands[i].summary);
    }
    out_text(o, "\nExit status: 0 done, 1 failed, 2 wrong usage. More: umndis help COMMAND, "
                "man umndis\n");
}

static bool begins(const char *word, const char *typed)
{
    return !strncmp(word, typed, strlen(typed)) && *typed;
}

static const struct command *by_words(const struct args *a, int *used, bool *object_known)
{
    const struct command *hit = NULL;
    int hits = 0;
    for (unsigned i = 0; i < command_count; i++) {
        const struct command *c = &commands[i];
        bool exact = !strcmp(c->object, a->word[0]);
        if (!exact && !begins(c->object, a->word[0]))
            continue;
        *object_known = true;
        if (c->verb && (a->count < 2 || !begins(c->verb, a->word[1])))
            continue;
        if (exact && (!c->verb || !strcmp(c->verb, a->word[1]))) {
            *used = c->verb ? 2 : 1;
            return c;
        }
        hit = c;
        hits++;
    }
    if (hits != 1)
        return NULL;
    *used = hit->verb ? 2 : 1;
    return hit;
}

const struct command *command_find(struct out *o, struct args *a)
{
    int used = 0;
    bool object_known = false;
    if (!a->count) {
        usage(o);
        return NULL;
    }
    /* "vm" and "adapter" alone list, as `ip link` does. */
    static char list[] = "list";
    char *two[2] = {a->word[0], list};
    struct args alone = {two, 2};
    const struct command *c = by_words(a, &used, &object_known);
    if (!c && a->count == 1 && (c = by_words(&alone, &used, &object_known)))
        used = 1;
    if (!c) {
        if (object_known)
            out_fail(o, 2, "'%s %s' is no command, or could be several; see umndis help",
                     a->word[0], a->count > 1 ? a->word[1] : "");
        else
            out_fail(o, 2, "'%s' is no command; see umndis help", a->word[0]);
        return NULL;
    }
    a->word += used;
    a->count -= used;
    return c;
}

int command_run(struct out *o, struct args *a, bool live)
{
    o->json |= arg_flag(a, "--json") || arg_flag(a, "-j");
    o->detail |= arg_flag(a, "-d");
    o->stats |= arg_flag(a, "-s");
    umn__refusal_clear();
    const struct command *c = command_find(o, a);
    return c ? c->run(o, a) : 2;
}

/* ---- a stopped box: the registry alone ----------------------------------------------------------
 */
static struct {
    struct out *o;
    struct args *a;
    int status;
} offline;

static void offline_body(void *arg)
{
    offline.status = command_run(offline.o, offline.a, false);
}

static int run_on_file(struct out *o, struct args *a, const char *registry)
{
    struct umn_box_config config = {.backend = UMN_BOX_EXPLORE, .registry = registry};
    if (access(registry, F_OK))
        return out_fail(o, 1, "no registry file '%s'", registry);
    if (umn_box_create(&config))
        return out_fail(o, 1, "%s", umn_last_error());
    offline.o = o;
    offline.a = a;
    int e = umn_box_run(offline_body, NULL);
    umn_box_destroy();
    return e && !offline.status ? out_fail(o, 1, "%s", umn_last_error()) : offline.status;
}

/* The words of a command for the box: those left, and the flags already taken. */
static int ask_box(const char *box, struct out *o, const struct args *a)
{
    static char json[] = "--json", detail[] = "-d", stats[] = "-s";
    struct args all = {plat_alloc(((size_t)a->count + 3) * sizeof(char *)), 0};
    if (!all.word)
        return out_fail(o, 1, "out of memory");
    for (int i = 0; i < a->count; i++)
        all.word[all.count++] = a->word[i];
    if (o->json)
        all.word[all.count++] = json;
    if (o->detail)
        all.word[all.count++] = detail;
    if (o->stats)
        all.word[all.count++] = stats;
    int status = client_run(box, o, &all);
    plat_free(all.word);
    return status;
}

static int away(struct out *o, struct args *a, const struct command *c)
{
    bool error = false;
    const char *box = arg_value(a, "--box", &error);
    const char *registry = arg_value(a, "--registry", &error);
    if (error)
        return out_fail(o, 2, "--box or --registry: its value is missing");
    if (!box)
        box = "box";
    int status = ask_box(box, o, a);
    if (status >= 0)
        return status;
    if (c->where == AT_BOX)
        return out_fail(o, 1, "no box named '%s' is running; start one with: umndis run", box);
    if (!registry)
        return out_fail(
            o, 1, "no box named '%s' is running; give --registry FILE for a stopped one", box);
    return run_on_file(o, a, registry);
}

static int dispatch(struct out *o, struct args *a)
{
    bool help = arg_flag(a, "--help") || arg_flag(a, "-h");
    o->json = arg_flag(a, "--json") || arg_flag(a, "-j");
    o->detail = arg_flag(a, "-d");
    o->stats = arg_flag(a, "-s");
    if (help && a->count)
        return cmd_help(o, a);
    if (!a->count) {
        usage(o);
        return help ? 0 : 2;
    }
    /* Options that come first, as in ip, belong behind the command. */
    for (int moves = a->count; moves-- > 0 && a->word[0][0] == '-';) {
        int n = strchr(a->word[0], '=') || a->count < 2 ? 1 : 2;
        for (; n > 0; n--) {
            char *first = a->word[0];
            memmove(a->word, a->word + 1, (size_t)(a->count - 1) * sizeof *a->word);
            a->word[a->count - 1] = first;
        }
    }
    struct args rest = *a;
    const struct command *c = command_find(o, &rest);
    if (!c)
        return 2;
    return c->where == AT_HOME ? c->run(o, &rest) : away(o, a, c);
}

int cmd_version(struct out *o, struct args *a)
{
    out_text(o, "umndis %s\n", umn_version());
    return 0;
}

int cmd_help(struct out *o, struct args *a)
{
    if (!a->count) {
        usage(o);
        return 0;
    }
    const struct command *c = command_find(o, a);
    if (!c)
        return 2;
    out_text(o, "usage: umndis %s%s%s %s\n\n%s.\n", c->object, c->verb ? " " : "",
             c->verb ? c->verb : "", c->arguments, c->summary);
    if (c->help)
        out_text(o, "\n%s\n", c->help);
    return 0;
}

int main(int argc, char **argv)
{
    struct out o = {0};
    struct args a = {argv + 1, argc - 1};
    int status = dispatch(&o, &a);
    if (o.length)
        fwrite(o.text, 1, o.length, status == 2 && !o.error_length ? stderr : stdout);
    if (o.error_length)
        fwrite(o.error, 1, o.error_length, stderr);
    out_free(&o);
    return status;
}
