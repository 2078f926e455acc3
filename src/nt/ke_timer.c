/* SPDX-License-Identifier: MIT */
/*
 * Timers. The scheduler's record lies over DueTime and TimerListEntry of the KTIMER. Setting,
 * cancelling and firing one timer are serial under a spin lock of a small table (DISPATCH_LEVEL):
 * the scheduler must never see one record armed twice. SignalState and waits are the dispatcher
 * lock's (ke_wait.c), taken inside.
 *
 * Header.Inserted: armed, or taken off the scheduler's list and about to fire. When a timer is set
 * again between the two, the call of fire to come is void: `stale_fires` counts such calls.
 */
#include "nt/private.h"

static struct umn_timer *record_of(PKTIMER timer)
{
    _Static_assert(sizeof(struct umn_timer) <= offsetof(KTIMER, Dpc) - offsetof(KTIMER, DueTime),
                   "fits the KTIMER");
    return (struct umn_timer *)&timer->DueTime;
}

#define stale_fires Processor /* the field's Windows meaning is not used */

static uint64_t guards[16];

static uint64_t *guard_acquire(PKTIMER timer, uint8_t *old)
{
    uint64_t *guard = &guards[((uintptr_t)timer >> 6) % 16];
    *old = umn__irql();
    if (*old < DISPATCH_LEVEL)
        umn__irql_raise(DISPATCH_LEVEL);
    umn__spin_acquire(guard);
    return guard;
}

static void guard_release(uint64_t *guard, uint8_t old)
{
    umn__spin_release(guard);
    if (old < DISPATCH_LEVEL)
        umn__irql_lower(old);
}

/* The next tick of a periodic timer: from the time it was due, so that a late tick does not move
 * the next ones; ticks that were missed altogether are not made up for. */
static uint64_t next_tick(const KTIMER *timer, uint64_t due)
{
    uint64_t step = (uint64_t)timer->Period * 10000, now = umn__now();
    return due + step > now ? due + step : now + step;
}

static void fire(struct umn_timer *record)
{
    PKTIMER timer = umn_container_of((ULARGE_INTEGER *)record, KTIMER, DueTime);
    struct ke_wait *chain = NULL;
    uint8_t old;
    uint64_t *guard = guard_acquire(timer, &old);
    if (timer->stale_fires) {
        timer->stale_fires--;
        guard_release(guard, old);
        return;
    }
    PKDPC dpc = timer->Dpc;
    umn__lock(&ke__dispatcher);
    timer->Header.SignalState = 1;
    timer->Header.Inserted = timer->Period != 0;
    chain = ke__satisfy(&timer->Header, chain);
    umn__unlock(&ke__dispatcher);
    if (timer->Period)
        umn__timer_arm(record, next_tick(timer, record->due));
    if (dpc) {
        uint64_t wall = umn__now_wall();
        KeInsertQueueDpc(dpc, (PVOID)(uintptr_t)(wall & 0xffffffff),
                         (PVOID)(uintptr_t)(wall >> 32));
    }
    guard_release(guard, old);
    ke__wake(chain);
}

void ke__timer_start(void)
{
    umn__timer_fire_hook(fire);
}

/* Type: NotificationTimer or SynchronizationTimer. Any level. nf-wdm-keinitializetimerex.md */
void NTAPI KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type)
{
    ke__object_init(&Timer->Header,
                    Type == NotificationTimer ? TimerNotificationObject
                                              : TimerSynchronizationObject,
                    sizeof *Timer / 4, 0);
    umn_list_init(&record_of(Timer)->link);
    Timer->DueTime.QuadPart = 0;
    Timer->Dpc = NULL;
    Timer->stale_fires = 0;
    Timer->TimerType = 0;
    Timer->Period = 0;
}

/* nf-wdm-keinitializetimer.md */
void NTAPI KeInitializeTimer(PKTIMER Timer)
{
    KeInitializeTimerEx(Timer, NotificationTimer);
}

static bool timer_ok(PKTIMER timer, const char *function)
{
    umn__lock(&ke__dispatcher);
    bool ok = ke__object_ok(&timer->Header);
    umn__unlock(&ke__dispatcher);
    if (!ok)
        ke__object_bad(&timer->Header, function);
    return ok;
}

/*
 * Sets the timer, which takes back an earlier setting. DueTime in 100 ns: negative relative,
 * positive absolute system time. Period in ms, 0 = once. Dpc NULL: only the object is signaled.
 * TRUE if it was set already. <= DISPATCH_LEVEL. nf-wdm-kesettimerex.md
 */
BOOLEAN NTAPI KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc)
{
    ke__irql_is(PASSIVE_LEVEL, DISPATCH_LEVEL, "IrqlKeDispatchLte", 0x20011, "KeSetTimer");
    if (!timer_ok(Timer, "KeSetTimer"))
        return FALSE;
    uint64_t due = ke__deadline(&DueTime);
    uint8_t old;
    uint64_t *guard = guard_acquire(Timer, &old);
    bool off = umn__timer_disarm(record_of(Timer));
    umn__lock(&ke__dispatcher);
    bool was = Timer->Header.Inserted;
    if (was && !off)
        Timer->stale_fires++;
    Timer->Header.Inserted = 1;
    Timer->Header.SignalState = 0;
    umn__unlock(&ke__dispatcher);
    Timer->Period = Period > 0 ? (ULONG)Period : 0;
    Timer->Dpc = Dpc;
    umn__timer_arm(record_of(Timer), due);
    guard_release(guard, old);
    return was;
}

/* As KeSetTimerEx, once. nf-wdm-kesettimer.md */
BOOLEAN NTAPI KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc)
{
    return KeSetTimerEx(Timer, DueTime, 0, Dpc);
}

/* TolerableDelay is permission to be late, which is not used. nf-wdm-kesetcoalescabletimer.md */
BOOLEAN NTAPI KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period,
                                    ULONG TolerableDelay, PKDPC Dpc)
{
    return KeSetTimerEx(Timer, DueTime, (LONG)Period, Dpc);
}

/*
 * Takes the setting back. TRUE: it was set, and the timer is not touched any more. FALSE: it was
 * not set, or has expired; its DPC may be queued or running (KeFlushQueuedDpcs). A periodic timer
 * does not fire again either way. <= DISPATCH_LEVEL. nf-wdm-kecanceltimer.md
 */
BOOLEAN NTAPI KeCancelTimer(PKTIMER Timer)
{
    ke__irql_is(PASSIVE_LEVEL, DISPATCH_LEVEL, "IrqlKeDispatchLte", 0x20011, "KeCancelTimer");
    if (!timer_ok(Timer, "KeCancelTimer"))
        return FALSE;
    uint8_t old;
    uint64_t *guard = guard_acquire(Timer, &old);
    bool off = umn__timer_disarm(record_of(Timer));
    Timer->Period = 0;
    if (off) {
        umn__lock(&ke__dispatcher);
        Timer->Header.Inserted = 0;
        umn__unlock(&ke__dispatcher);
    }
    guard_release(guard, old);
    return off;
}

/* TRUE if the timer is signaled. <= DISPATCH_LEVEL. nf-wdm-kereadstatetimer.md */
BOOLEAN NTAPI KeReadStateTimer(PKTIMER Timer)
{
    umn__point(UMN_OP_ATOMIC, Timer);
    return __atomic_load_n(&Timer->Header.SignalState, __ATOMIC_ACQUIRE) != 0;
}
