# SPDX-License-Identifier: MIT
"""The figures of bench/run. Runs inside the network laboratory of tools/netlab.sh.

Every figure is measured in rounds; in each round ours and the peer take turns (the order alternates),
so that noise hits both. A figure's ratio is the median of the per-round ratios, oriented so that
larger is better for us. Rounds in which somebody else used more than 2 % of the machine (steal time
and foreign CPU use) are dropped and counted.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build", "release")
NETLOAD = os.path.join(BUILD, "bench", "netload")
INPROC = os.path.join(BUILD, "bench", "inproc")
UMNDIS = os.path.join(BUILD, "umndis")
CHILDREN = []


class Failed(Exception):
    pass


def run(*words, timeout=60, ok=True):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout)
    if ok and done.returncode:
        raise Failed(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def start(*words, **kw):
    p = subprocess.Popen(words, stdout=kw.get("out", subprocess.PIPE), stderr=subprocess.DEVNULL,
                         text=True)
    CHILDREN.append(p)
    return p


def end(p):
    if p.poll() is None:
        p.send_signal(signal.SIGTERM)
    try:
        p.wait(timeout=10)
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()
    if p in CHILDREN:
        CHILDREN.remove(p)


class Namespace:
    """A network namespace, as long as a sleeping process lives in it."""

    def __init__(self):
        self.holder = start("unshare", "--net", "sleep", "1800")
        own = os.readlink("/proc/self/ns/net")
        for _ in range(500):
            try:
                if os.readlink(f"/proc/{self.holder.pid}/ns/net") != own:
                    break
            except OSError:
                pass
            time.sleep(0.005)
        self.run("ip", "link", "set", "lo", "up")
        self.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 || :", ok=False)
        self.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6 || :", ok=False)

    def words(self, *words):
        return ("nsenter", f"--net=/proc/{self.holder.pid}/ns/net") + words

    def run(self, *words, **kw):
        return run(*self.words(*words), **kw)

    def start(self, *words, **kw):
        return start(*self.words(*words), **kw)

    def host(self, name, address):
        self.run("ip", "addr", "add", address, "dev", name)
        self.run("ip", "link", "set", name, "up")

    def end(self):
        end(self.holder)


class Topology:
    """An outside host behind a veth, and n virtual NICs in namespaces of their own."""

    def __init__(self, net, vms):
        self.net, self.outside = net, Namespace()
        self.lower = f"lo{net}"
        self.guests = [Namespace() for _ in range(vms)]
        run("ip", "link", "add", self.lower, "type", "veth", "peer", "name", "eth0", "netns",
            str(self.outside.holder.pid))
        run("sh", "-c", f"echo 1 >/proc/sys/net/ipv6/conf/{self.lower}/disable_ipv6 || :", ok=False)
        run("ip", "link", "set", self.lower, "up")
        self.outside.host("eth0", f"10.{net}.0.1/16")

    def address(self, i):
        return f"10.{self.net}.0.{11 + i}"

    def give(self, name, i):
        run("ip", "link", "set", name, "netns", str(self.guests[i].holder.pid))
        self.guests[i].host(name, self.address(i) + "/16")

    def warm(self):
        for i, g in enumerate(self.guests):
            g.run("ping", "-c", "1", "-W", "3", "-q", f"10.{self.net}.0.1")
            self.outside.run("ping", "-c", "1", "-W", "3", "-q", self.address(i))

    def end(self):
        for g in self.guests:
            g.end()
        self.outside.end()
        run("ip", "link", "del", self.lower, ok=False)


class Macvlan(Topology):
    name = "macvlan"

    def __init__(self, vms):
        super().__init__(61, vms)
        for i in range(vms):
            run("ip", "link", "add", f"mv{i}", "link", self.lower, "type", "macvlan", "mode", "bridge")
            self.give(f"mv{i}", i)
        self.warm()


class Ours(Topology):
    name = "ours"

    def __init__(self, vms):
        super().__init__(62, vms)
        log = open(os.path.join(os.environ["LAB_TMP"], "box.log"), "w")
        self.box = start(UMNDIS, "run", "--name", "bench", "--quiet", "--lower", self.lower, "--vms",
                         str(vms), out=log)
        for _ in range(400):
            if subprocess.run([UMNDIS, "--box", "bench", "show"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0:
                break
            if self.box.poll() is not None:
                raise Failed("the box did not start")
            time.sleep(0.02)
        for i in range(vms):
            run("sh", "-c", f"echo 1 >/proc/sys/net/ipv6/conf/vm{i+1}/disable_ipv6 || :", ok=False)
            self.give(f"vm{i+1}", i)
        self.warm()

    def end(self):
        run(UMNDIS, "--box", "bench", "stop", ok=False)
        end(self.box)
        super().end()


# ---- measurements: each returns one number for one topology --------------------------------------

def tcp(server, client, address, seconds, streams=1, reverse=False):
    s = server.start("iperf3", "-s", "--one-off")
    time.sleep(0.15)
    words = ["iperf3", "-c", address, "-t", str(seconds), "-C", "cubic", "-P", str(streams), "--json"]
    out = client.run(*(words + (["-R"] if reverse else [])), timeout=seconds + 20, ok=False)
    end(s)
    try:
        return json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e9
    except (ValueError, KeyError):
        raise Failed("iperf3 gave no result: " + out[-200:])


def tcp8(t, seconds, down):
    servers = [g.start("iperf3", "-s", "--one-off") for g in t.guests]
    time.sleep(0.2)
    clients = [t.outside.start("iperf3", "-c", t.address(i), "-t", str(seconds), "-C", "cubic",
                               "--json", *([] if down else ["-R"]))
               for i in range(len(t.guests))]
    total = 0.0
    for c in clients:
        out, _ = c.communicate(timeout=seconds + 20)
        CHILDREN.remove(c)
        try:
            total += json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e9
        except (ValueError, KeyError):
            raise Failed("iperf3 gave no result")
    for s in servers:
        end(s)
    return total


def pps(receiver, sender, address, seconds):
    r = receiver.start("taskset", "-c", "1", NETLOAD, "sink", "9001", str(seconds))
    time.sleep(0.1)
    sender.run("taskset", "-c", "0", NETLOAD, "blast", address, "9001", str(seconds),
               timeout=seconds + 20)
    out, _ = r.communicate(timeout=seconds + 20)
    CHILDREN.remove(r)
    return float(out) / 1e3


def rtt(server, client, address, seconds):
    e = server.start("taskset", "-c", "1", NETLOAD, "echo", "9002", str(seconds + 1))
    time.sleep(0.1)
    out = client.run("taskset", "-c", "0", NETLOAD, "rtt", address, "9002", str(seconds),
                     timeout=seconds + 20)
    end(e)
    value = float(out)
    if value <= 0:
        raise Failed("no echo came back")
    return value


NETWORK = {
    # name: (virtual NICs, unit, larger is better, measurement)
    "tcp1_down": (1, "Gbit/s", True, lambda t, s: tcp(t.guests[0], t.outside, t.address(0), s)),
    "tcp1_up": (1, "Gbit/s", True,
                lambda t, s: tcp(t.guests[0], t.outside, t.address(0), s, reverse=True)),
    "tcp8_down": (8, "Gbit/s", True, lambda t, s: tcp8(t, s, True)),
    "tcp8_up": (8, "Gbit/s", True, lambda t, s: tcp8(t, s, False)),
    "pps_down": (1, "kpps", True, lambda t, s: pps(t.guests[0], t.outside, t.address(0), s)),
    "pps_up": (1, "kpps", True, lambda t, s: pps(t.outside, t.guests[0], f"10.{t.net}.0.1", s)),
    "rtt": (1, "us", False, lambda t, s: rtt(t.outside, t.guests[0], f"10.{t.net}.0.1", s)),
    "vm2vm_tcp": (2, "Gbit/s", True, lambda t, s: tcp(t.guests[1], t.guests[0], t.address(1), s)),
    "vm2vm_pps": (2, "kpps", True, lambda t, s: pps(t.guests[1], t.guests[0], t.address(1), s)),
}


def inproc(*words):
    return float(run("taskset", "-c", "1", INPROC, *words, timeout=120))


def macvlans(n):
    """Seconds to create n macvlans by one netlink batch and bring them up."""
    run("ip", "link", "add", "mvlow", "type", "veth", "peer", "name", "mvfar")
    try:
        for i in ("mvlow", "mvfar"):
            run("sh", "-c", f"echo 1 >/proc/sys/net/ipv6/conf/{i}/disable_ipv6 || :", ok=False)
            run("ip", "link", "set", i, "up")
        run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6 || :", ok=False)
        batch = "".join(f"link add m{i} link mvlow type macvlan mode bridge\nlink set m{i} up\n"
                        for i in range(n))
        at = time.monotonic()
        subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=110)
        return time.monotonic() - at
    finally:
        run("ip", "link", "del", "mvlow", ok=False, timeout=110)


LOCAL = {
    # name: (unit, larger is better, ours, peer name, peer or None)
    "inproc_1": ("Mpps", True, lambda q: inproc("frames", "1", q) / 1e6, None, None),
    "inproc_1000": ("Mpps", True, lambda q: inproc("frames", "1000", q) / 1e6, "inproc_1",
                    lambda q: inproc("frames", "1", q) / 1e6),
    "inproc_bcast_8": ("Mpps", True, lambda q: inproc("broadcast", "8", str(int(q) // 20)) / 1e6,
                       None, None),
    "bringup_1000": ("s", False, lambda q: inproc("bringup", "1000"), "macvlan",
                     lambda q: macvlans(1000)),
    "bringup_4096": ("s", False, lambda q: inproc("bringup", "4096"), "4.096 x bringup_1000",
                     lambda q: 4.096 * inproc("bringup", "1000")),
    "mem_per_vm": ("KB", False, lambda q: inproc("memory", "1000") / 1024, None, None),
    "idle_cpu": ("CPU s in 2 s", False, lambda q: inproc("idle"), None, None),
    "explore_rate": ("schedules/s", True, lambda q: inproc("explore", "2"), None, None),
}
QUICK_SKIP = ("tcp8_up", "vm2vm_pps", "bringup_4096")


# ---- noise ----------------------------------------------------------------------------------------

def steal():
    with open("/proc/stat") as f:
        words = f.readline().split()
    return int(words[8]), sum(int(w) for w in words[1:9])


def report(name, unit, ours, peer, theirs, larger, args, dropped=0):
    line = {"figure": name, "ours": statistics.median(ours), "unit": unit, "peer": peer,
            "theirs": None, "ratio": None, "min": min(ours), "max": max(ours), "runs": len(ours)}
    if dropped:
        line["dropped"] = dropped
    if theirs:
        ratios = [(o / t if larger else t / o) for o, t in zip(ours, theirs) if o and t]
        line.update(theirs=statistics.median(theirs), ratio=statistics.median(ratios),
                    min=min(ratios), max=max(ratios))
    if args.json:
        print(json.dumps(line), flush=True)
        return
    text = f"{name:14} {line['ours']:10.4g} {unit:12}"
    if theirs:
        text += f" {peer:12} {line['theirs']:10.4g}  ratio {line['ratio']:6.3f}  ({line['min']:.3f} .. {line['max']:.3f}, {len(ours)} rounds"
    else:
        text += f" {'-':12} {'-':>10}  ({line['min']:.4g} .. {line['max']:.4g}, {len(ours)} rounds"
    print(text + (f", {dropped} dropped for noise)" if dropped else ")"), flush=True)


def interleave(ours, theirs, rounds):
    a, b, dropped = [], [], 0
    for i in range(rounds * 2):
        if len(a) >= rounds:
            break
        before = steal()
        if i % 2 and theirs:
            y, x = theirs(), ours()
        else:
            x, y = ours(), theirs() if theirs else None
        after = steal()
        if after[1] > before[1] and (after[0] - before[0]) / (after[1] - before[1]) > 0.02 and \
                i + 1 < rounds * 2 - (rounds - len(a)):
            dropped += 1
            continue
        a.append(x)
        if theirs:
            b.append(y)
    return a, b, dropped


def network(names, args):
    for vms in sorted({NETWORK[n][0] for n in names}):
        ours, peer = None, None
        try:
            ours, peer = Ours(vms), Macvlan(vms)
            for n in names:
                count, unit, larger, measure = NETWORK[n]
                if count != vms:
                    continue
                seconds = 1 if args.quick else 2
                a, b, dropped = interleave(lambda: measure(ours, seconds), lambda: measure(peer, seconds),
                                           rounds(n, args))
                report(n, unit, a, "macvlan", b, larger, args, dropped)
        finally:
            for t in (ours, peer):
                if t:
                    t.end()


def rounds(name, args):
    if args.rounds:
        return args.rounds
    if args.quick:
        return 3
    return 11 if "tcp" in name else 5


def local(names, args):
    for n in names:
        unit, larger, ours, peer, theirs = LOCAL[n]
        frames = "4000000" if args.quick else "20000000"
        a, b, dropped = interleave(lambda: ours(frames), (lambda: theirs(frames)) if theirs else None,
                                   min(rounds(n, args), 5))
        report(n, unit, a, peer, b, larger, args, dropped)


def arguments():
    p = argparse.ArgumentParser(prog="bench/run", description=(
        "One line per figure: name, our median, peer, the peer's median, ratio (larger is better for "
        "us), spread of the per-round ratios. Rounds of ours and the peer interleave."))
    p.add_argument("figure", nargs="*", help="figures to run (default: all): " +
                   ", ".join(list(NETWORK) + list(LOCAL)))
    p.add_argument("--quick", action="store_true", help="fewer and shorter rounds, under 3 minutes")
    p.add_argument("--json", action="store_true", help="one JSON object per line")
    p.add_argument("--rounds", type=int, help="rounds per figure")
    p.add_argument("--check-arguments", action="store_true", help=argparse.SUPPRESS)
    args = p.parse_args()
    for f in args.figure:
        if f not in NETWORK and f not in LOCAL:
            p.error(f"no figure '{f}'; there are: {', '.join(list(NETWORK) + list(LOCAL))}")
    if args.rounds is not None and not 1 <= args.rounds <= 100:
        p.error("--rounds: 1 to 100")
    return args


def main():
    args = arguments()
    if args.check_arguments:
        return 0
    names = args.figure or [n for n in list(NETWORK) + list(LOCAL)
                            if not (args.quick and n in QUICK_SKIP)]
    if not args.json:
        u = os.uname()
        print(f"# {u.sysname} {u.release}, {os.cpu_count()} CPUs, {time.strftime('%F %H:%M')}, "
              f"{'quick' if args.quick else 'full'}", flush=True)
    status = 0
    for group, known in ((network, NETWORK), (local, LOCAL)):
        mine = [n for n in names if n in known]
        try:
            if mine:
                group(mine, args)
        except (Failed, subprocess.TimeoutExpired) as e:
            print(f"bench: {e}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        for child in list(CHILDREN):
            end(child)
