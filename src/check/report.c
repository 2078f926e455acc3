/* SPDX-License-Identifier: MIT */
/*
 * Reports and refusals. Owns the kept reports and the counts by rule, under a leaf mutex; the last
 * refusal is kept per host thread. Any IRQL; nothing here allocates or waits.
 */
#include "check/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "plat/plat.h"
#include "sched/sched.h"

#define KEPT 64
#define RULES 128

static struct plat_mutex Lock;
static struct umn_report Kept[KEPT];
static unsigned Total, NumKept;
static struct {
    char name[48];
    unsigned count;
} Rule[RULES];
static unsigned NumRules;
static bool Quiet;
static void (*Hook)(const struct umn_report *);
static __thread char Refusal[512];

static void count_rule(const char *rule)
{
    unsigned i = 0;
    while (i < NumRules && strncmp(Rule[i].name, rule, sizeof Rule[i].name - 1) != 0)
        i++;
    if (i == RULES)
        return; /* there are fewer rules than that */
    if (i == NumRules) {
        snprintf(Rule[i].name, sizeof Rule[i].name, "%s", rule);
        NumRules++;
    }
    Rule[i].count++;
}

static void print(const struct umn_report *r, const char *ctx)
{
    char line[512];
    int n =
        snprintf(line, sizeof line - 1, "umndis: report: %s (code 0x%X): %s [context %s, IRQL %u]",
                 r->rule, r->code, r->text, ctx, r->irql);
    if (n > (int)sizeof line - 2)
        n = (int)sizeof line - 2;
    line[n++] = '\n';
    (void)!write(STDERR_FILENO, line, (size_t)n);
}

void umn__report(const char *rule, uint32_t code, const char *fmt, ...)
{
    struct umn_ctx *self = umn__ctx_self();
    struct umn_report r = {
        .rule = rule, .code = code, .ctx = self ? umn__ctx_id(self) : 0, .irql = umn__irql()};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r.text, sizeof r.text, fmt, ap);
    va_end(ap);

    plat_mutex_lock(&Lock);
    Total++;
    count_rule(rule);
    if (NumKept < KEPT)
        Kept[NumKept++] = r;
    void (*hook)(const struct umn_report *) = Hook;
    bool quiet = Quiet;
    plat_mutex_unlock(&Lock);

    if (!quiet)
        print(&r, self ? umn__ctx_name(self) : "none");
    if (hook)
        hook(&r);
}

/* The rule that names a function of this family at this IRQL, as Driver Verifier's DDI compliance
 * rules do (wdm-irqlexpassive.md and its siblings); NDIS functions have the rules of the NDIS set.
 */
static const char *irql_rule(uint8_t max, const char *name)
{
    static const struct {
        const char *prefix;
        const char *rule[3]; /* at most PASSIVE, APC, DISPATCH */
    } families[] = {
        {"NdisIM", {"Irql_IM_Function", "Irql_IM_Function", "Irql_IM_Function"}},
        {"NdisIf",
         {"Irql_Interfaces_Function", "Irql_Interfaces_Function", "Irql_Interfaces_Function"}},
        {"NdisM",
         {"Irql_Miniport_Driver_Function", "Irql_Miniport_Driver_Function",
          "Irql_Miniport_Driver_Function"}},
        {"NdisF",
         {"Irql_Filter_Driver_Function", "Irql_Filter_Driver_Function",
          "Irql_Filter_Driver_Function"}},
        {"Ndis",
         {"Irql_Miscellaneous_Function", "Irql_Miscellaneous_Function",
          "Irql_Miscellaneous_Function"}},
        {"Ke", {"IrqlKePassive", "IrqlKeApcLte1", "IrqlKeDispatchLte"}},
        {"Ex", {"IrqlExPassive", "IrqlExApcLte1", "IrqlExAllocatePool"}},
        {"Io", {"IrqlIoPassive1", "IrqlIoApcLte", "IrqlIoDispatch"}},
        {"Mm", {"IrqlMmApcLte", "IrqlMmApcLte", "IrqlMmDispatch"}},
        {"Ob", {"IrqlObPassive", "IrqlApcLte", "IrqlObPassive"}},
        {"Ps", {"IrqlPsPassive", "IrqlPsPassive", "IrqlPsPassive"}},
        {"Rtl", {"IrqlRtlPassive", "IrqlRtlPassive", "IrqlRtlPassive"}},
        {"Zw", {"IrqlZwPassive", "IrqlZwPassive", "IrqlZwPassive"}},
    };
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strncmp(name, families[i].prefix, strlen(families[i].prefix)) == 0)
            return families[i].rule[max > UMN_DISPATCH ? UMN_DISPATCH : max];
    return "IrqlDispatch";
}

bool umn__check_irql(uint8_t max, const char *name)
{
    uint8_t irql = umn__irql();
    if (__builtin_expect(irql <= max, 1))
        return true;
    umn__report(irql_rule(max, name), 0, "%s called at IRQL %u, allowed up to %u", name, irql, max);
    return false;
}

unsigned umn__report_count(void)
{
    plat_mutex_lock(&Lock);
    unsigned n = Total;
    plat_mutex_unlock(&Lock);
    return n;
}

const struct umn_report *umn__report_get(unsigned index)
{
    plat_mutex_lock(&Lock);
    const struct umn_report *r = index < NumKept ? &Kept[index] : NULL;
    plat_mutex_unlock(&Lock);
    return r;
}

unsigned umn__report_count_rule(const char *rule)
{
    unsigned n = 0;
    plat_mutex_lock(&Lock);
    for (unsigned i = 0; i < NumRules; i++)
        if (strncmp(Rule[i].name, rule, sizeof Rule[i].name - 1) == 0)
            n = Rule[i].count;
    plat_mutex_unlock(&Lock);
    return n;
}

void umn__report_reset(void)
{
    plat_mutex_lock(&Lock);
    Total = NumKept = NumRules = 0;
    memset(Rule, 0, sizeof Rule);
    plat_mutex_unlock(&Lock);
}

void umn__report_quiet(bool quiet)
{
    plat_mutex_lock(&Lock);
    Quiet = quiet;
    plat_mutex_unlock(&Lock);
}

void umn__report_hook(void (*hook)(const struct umn_report *))
{
    plat_mutex_lock(&Lock);
    Hook = hook;
    plat_mutex_unlock(&Lock);
}

int umn__refuse(int error, const char *fmt, ...)
{
    char text[sizeof Refusal]; /* an argument may be the last refusal itself */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    memcpy(Refusal, text, sizeof Refusal);
    return error;
}

const char *umn__refusal(void)
{
    return Refusal;
}

void umn__refusal_clear(void)
{
    Refusal[0] = 0;
}
